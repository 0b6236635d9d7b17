#include "tls.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef MOCK_TLS

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

struct mock_tls {
    SSL_CTX *context;
};

static bool write_pem(const char *path, X509 *cert, EVP_PKEY *key)
{
    FILE *f = fopen(path, "w");
    if (!f)
        return false;
    bool good =
        cert ? PEM_write_X509(f, cert) : PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL);
    return fclose(f) == 0 && good;
}

static void name_cert(X509 *x, const char *host)
{
    char text[300];
    bool address = strspn(host, "0123456789.") == strlen(host);
    X509_NAME *name = X509_get_subject_name(x);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)host, -1, -1, 0);
    X509_set_issuer_name(x, name);
    snprintf(text, sizeof text, "%s:%.250s", address ? "IP" : "DNS", host);
    X509_EXTENSION *san = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, text);
    X509_add_ext(x, san, -1);
    X509_EXTENSION_free(san);
}

/* EVP_EC_gen is OpenSSL 3's. */
static EVP_PKEY *make_key(void)
{
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_id(EVP_PKEY_EC, NULL);
    if (!c || EVP_PKEY_keygen_init(c) != 1 ||
        EVP_PKEY_CTX_set_ec_paramgen_curve_nid(c, NID_X9_62_prime256v1) != 1 ||
        EVP_PKEY_keygen(c, &key) != 1)
        key = NULL;
    EVP_PKEY_CTX_free(c);
    return key;
}

bool mock_tls_make_cert(const char *host, const char *cert, const char *key_path, long days)
{
    EVP_PKEY *key = make_key();
    X509 *x = X509_new();
    if (!key || !x)
        return false;
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -86400 * (days < 0 ? 1 - days : 1));
    X509_gmtime_adj(X509_getm_notAfter(x), 86400 * days);
    X509_set_pubkey(x, key);
    name_cert(x, host);
    bool good = X509_sign(x, key, EVP_sha256()) > 0 && write_pem(cert, x, NULL) &&
                write_pem(key_path, NULL, key);
    X509_free(x);
    EVP_PKEY_free(key);
    return good;
}

mock_tls *mock_tls_new(const char *cert, const char *key, const char *clients)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (!context || SSL_CTX_use_certificate_chain_file(context, cert) != 1 ||
        SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1 ||
        (clients && SSL_CTX_load_verify_locations(context, clients, NULL) != 1)) {
        ERR_print_errors_fp(stderr);
        SSL_CTX_free(context);
        return NULL;
    }
    if (clients)
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    mock_tls *t = malloc(sizeof *t);
    if (t)
        t->context = context;
    return t;
}

void mock_tls_free(mock_tls *t)
{
    if (t)
        SSL_CTX_free(t->context);
    free(t);
}

void *mock_tls_open(mock_tls *t, int fd)
{
    SSL *s = SSL_new(t->context);
    SSL_set_fd(s, fd);
    SSL_set_accept_state(s);
    return s;
}

static ssize_t result(SSL *s, int n)
{
    int why = n > 0 ? SSL_ERROR_NONE : SSL_get_error(s, n);
    if (n > 0)
        return n;
    errno = why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? EAGAIN : ECONNRESET;
    ERR_clear_error();
    return why == SSL_ERROR_ZERO_RETURN ? 0 : -1;
}

ssize_t mock_tls_recv(void *tls_conn, void *p, size_t n)
{
    return result(tls_conn, SSL_read(tls_conn, p, (int)n));
}

ssize_t mock_tls_send(void *tls_conn, const void *p, size_t n)
{
    return result(tls_conn, SSL_write(tls_conn, p, (int)(n < 1 << 20 ? n : 1 << 20)));
}

void mock_tls_close(void *tls_conn)
{
    SSL_free(tls_conn);
}

#else

bool mock_tls_make_cert(const char *host, const char *cert, const char *key, long days)
{
    (void)host;
    (void)cert;
    (void)key;
    (void)days;
    return false;
}

mock_tls *mock_tls_new(const char *cert, const char *key, const char *clients)
{
    (void)cert;
    (void)key;
    (void)clients;
    fputs("mock-lm: built without OpenSSL (install libssl-dev)\n", stderr);
    return NULL;
}

void mock_tls_free(mock_tls *t)
{
    (void)t;
}

void *mock_tls_open(mock_tls *t, int fd)
{
    (void)t;
    (void)fd;
    return NULL;
}

ssize_t mock_tls_recv(void *tls_conn, void *p, size_t n)
{
    (void)tls_conn;
    (void)p;
    (void)n;
    return -1;
}

ssize_t mock_tls_send(void *tls_conn, const void *p, size_t n)
{
    (void)tls_conn;
    (void)p;
    (void)n;
    return -1;
}

void mock_tls_close(void *tls_conn)
{
    (void)tls_conn;
}

#endif
