# Certificates of servers: where they are taken from, and what is said where there are none. What the system keeps is
# looked for by a program whose libcurl knows of none, as the wheel's: five more checks for such a PROGRAM, with the
# files of each system made in a mount namespace.
. tests/lib.sh
own() { "$PROGRAM" --version --verbose | grep -q "^certificates: .*libcurl's own"; }
if own; then TOTAL=9; else TOTAL=14; fi
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
for version in 1.2 1.3; do # its server alone, by OpenSSL's own configuration
	printf 'openssl_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n[c]\nMinProtocol = TLSv%s\nMaxProtocol = TLSv%s\n' $version $version >"$DIR/openssl.cnf"
	OPENSSL_CONF="$DIR/openssl.cnf" start_mock --rule planted --tls "$DIR/good" --tls-key "$DIR/good.key"
	job ", \"ca_file\": \"$DIR/good\""
	check "a server that speaks TLS $version alone" asks 0 "$PROGRAM"
done
job ""
if own; then
	exit 0
elif ! unshare -m true 2>/dev/null; then
	skip_all 5 "no mount namespace for this user: what the system keeps cannot be put aside"
	exit 0
fi
# keeps FILE COMMAND...: on a system that keeps certificates in FILE, or has none for ""
cat >"$DIR/keeps" <<END
#!/bin/sh
file=\$1
shift
mkdir -p /etc/pki && mount -t tmpfs none /etc/ssl && mount -t tmpfs none /etc/pki || exit 99
[ -z "\$file" ] || { mkdir -p "\${file%/*}" && cp "$DIR/good" "\$file"; } || exit 99
exec "\$@"
END
chmod +x "$DIR/keeps"
check "Debian's file" asks 0 unshare -m "$DIR/keeps" /etc/ssl/certs/ca-certificates.crt "$PROGRAM"
check "RHEL's file" asks 0 unshare -m "$DIR/keeps" /etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem "$PROGRAM"
check "none: one sentence names the places, and what to install" eval 'asks 69 unshare -m "$DIR/keeps" "" "$PROGRAM" && said "there is none of /etc/ssl/certs/ca-certificates.crt, /etc/pki/" && said "install ca-certificates or certifi"'
check "none, and a variable" asks 0 env SSL_CERT_FILE="$DIR/good" unshare -m "$DIR/keeps" "" "$PROGRAM"
mkdir -p "$DIR/venv/bin" "$DIR/venv/lib/python3.11/site-packages/certifi"
cp "$PROGRAM" "$DIR/venv/bin/" && cp "$DIR/good" "$DIR/venv/lib/python3.11/site-packages/certifi/cacert.pem"
check "certifi's file in the program's own venv" asks 0 unshare -m "$DIR/keeps" "" "$DIR/venv/bin/$(basename "$PROGRAM")"
