# Certificates of servers: where they are taken from, and what is said where there are none, or one is wrong. What the
# system keeps is looked for by a program whose libcurl knows of none, as the wheel's, or names a file that is not there:
# the files of each system are made in a mount namespace.
. tests/lib.sh
TOTAL=21
plan $TOTAL
if ! "$MOCK" --make-cert 127.0.0.1 "$DIR/good" "$DIR/good.key"; then
	skip_all $TOTAL "the mock server was built without libssl-dev"
	exit 0
fi
"$MOCK" --make-cert 127.0.0.1 "$DIR/other" "$DIR/other.key"
unset SSL_CERT_FILE CURL_CA_BUNDLE SSL_CERT_DIR
start_mock --rule planted --tls "$DIR/good" --tls-key "$DIR/good.key"
job() { # job MORE: of the model
	cat >"$DIR/job.json" <<END
{"program": {"predict": "question -> answer"}, "trainset": "train.jsonl", "metric": "exact_match",
 "lm": {"model": "hosted_vllm/any", "api_base": "${MOCK_URL#http}", "temperature": 0$1}}
END
	sed -i 's#"api_base": "#&https#' "$DIR/job.json"
}
"$MOCK" --make-data 4 3 0 >"$DIR/train.jsonl"
asks() { # asks CODE COMMAND...: of which the last words are the program's
	code=$1
	shift
	run "$code" "$@" eval "$DIR/job.json" --split=trainset
}
job ""
check "nobody vouches for it: exit 69, and ca_file is what to do" eval 'asks 69 "$PROGRAM" && said certificate && said ca_file'
check "SSL_CERT_FILE counts" asks 0 env SSL_CERT_FILE="$DIR/good" "$PROGRAM"
check "CURL_CA_BUNDLE counts" asks 0 env CURL_CA_BUNDLE="$DIR/good" "$PROGRAM"
check "of both, SSL_CERT_FILE" asks 0 env SSL_CERT_FILE="$DIR/good" CURL_CA_BUNDLE="$DIR/other" "$PROGRAM"
check "and not the other" asks 69 env SSL_CERT_FILE="$DIR/other" CURL_CA_BUNDLE="$DIR/good" "$PROGRAM"
check "a file that there is not is named, with its variable" eval 'asks 69 env SSL_CERT_FILE="$DIR/none" "$PROGRAM" && said "$DIR/none, which SSL_CERT_FILE names, cannot be read"'
job ", \"ca_file\": \"$DIR/good\""
check "ca_file goes before both" asks 0 env SSL_CERT_FILE="$DIR/other" CURL_CA_BUNDLE="$DIR/other" "$PROGRAM"
{ sed 's/^-----BEGIN/# a comment\n&/; s/$/\r/' "$DIR/other" && cat "$DIR/good"; } >"$DIR/several"
job ", \"ca_file\": \"$DIR/several\""
check "ca_file of several, with comments and CR" asks 0 "$PROGRAM"
job ""
check "which one was looked into is said" eval 'asks 69 env SSL_CERT_FILE="$DIR/other" "$PROGRAM" && said "with the authorities of SSL_CERT_FILE; if the server is yours"'
: >"$DIR/empty"
check "a folder, or an empty file, where a file has to be" eval 'asks 69 env SSL_CERT_FILE="$DIR" "$PROGRAM" && said "has to be a file of certificates in PEM" && asks 69 env CURL_CA_BUNDLE="$DIR/empty" "$PROGRAM" && said "has to be a file of certificates in PEM"'
check "an empty variable is none" asks 0 env SSL_CERT_FILE= CURL_CA_BUNDLE="$DIR/good" "$PROGRAM"
"$MOCK" --make-cert 127.0.0.1 "$DIR/old" "$DIR/old.key" -1
start_mock --rule planted --tls "$DIR/old" --tls-key "$DIR/old.key"
job ", \"ca_file\": \"$DIR/old\""
check "one that has expired: that is said, and not ca_file" eval 'asks 69 "$PROGRAM" && said "expired; the server needs a new certificate" && ! said "with ca_file"'
"$MOCK" --make-cert models.example.com "$DIR/far" "$DIR/far.key"
start_mock --rule planted --tls "$DIR/far" --tls-key "$DIR/far.key"
job ", \"ca_file\": \"$DIR/far\""
check "one of another host: api_base is what to do" eval 'asks 69 "$PROGRAM" && said "api_base has to name the host as the server'"'"'s certificate does" && ! said "with ca_file"'
for version in 1.2 1.3; do # its server alone, by OpenSSL's own configuration
	printf 'openssl_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n[c]\nMinProtocol = TLSv%s\nMaxProtocol = TLSv%s\n' $version $version >"$DIR/openssl.cnf"
	OPENSSL_CONF="$DIR/openssl.cnf" start_mock --rule planted --tls "$DIR/good" --tls-key "$DIR/good.key"
	job ", \"ca_file\": \"$DIR/good\""
	check "a server that speaks TLS $version alone" asks 0 "$PROGRAM"
done
start_mock --rule planted --tls "$DIR/good" --tls-key "$DIR/good.key"
job ""
if ! unshare -m true 2>/dev/null; then
	skip_all 6 "no mount namespace for this user: what the system keeps cannot be put aside"
	exit 0
fi
# keeps FILE COMMAND...: on a system that keeps certificates in FILE, or has none for ""
cat >"$DIR/keeps" <<END
#!/bin/sh
file=\$1
shift
mkdir -p /etc/pki && mount -t tmpfs none /etc/ssl && mount -t tmpfs none /etc/pki || exit 99
[ -z "\$file" ] || { mkdir -p "\${file%/*}" && cp "$DIR/good" "\$file"; } || exit 99
[ -z "\$FOLDER" ] || mkdir -p "\$FOLDER" || exit 99
exec "\$@"
END
chmod +x "$DIR/keeps"
check "Debian's file" asks 0 unshare -m "$DIR/keeps" /etc/ssl/certs/ca-certificates.crt "$PROGRAM"
check "RHEL's file" asks 0 unshare -m "$DIR/keeps" /etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem "$PROGRAM"
check "RHEL's, where the first is a folder, as a mount of no file makes it" asks 0 env FOLDER=/etc/ssl/certs/ca-certificates.crt unshare -m "$DIR/keeps" /etc/pki/tls/certs/ca-bundle.crt "$PROGRAM"
check "none: one sentence names the places, and what to install" eval 'asks 69 unshare -m "$DIR/keeps" "" "$PROGRAM" && said "there is none of /etc/ssl/certs/ca-certificates.crt, /etc/pki/" && said "install ca-certificates or certifi"'
check "none, and a variable" asks 0 env SSL_CERT_FILE="$DIR/good" unshare -m "$DIR/keeps" "" "$PROGRAM"
mkdir -p "$DIR/venv/bin" "$DIR/venv/lib/python3.11/site-packages/certifi"
cp "$PROGRAM" "$DIR/venv/bin/" && cp "$DIR/good" "$DIR/venv/lib/python3.11/site-packages/certifi/cacert.pem"
check "certifi's file in the program's own venv" asks 0 unshare -m "$DIR/keeps" "" "$DIR/venv/bin/$(basename "$PROGRAM")"
