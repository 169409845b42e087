/* SPDX-License-Identifier: Apache-2.0 */
/* The contract over TLS, and what only TLS has: certificates, names, their failures in words,
 * truncation, records of strangers. The other side is io itself, or OpenSSL on a thread where io
 * would be too polite. */
#include "base/alloc.h"
#include "io/tls.h"
#include "io_contract.h"
#include "test_cert.h"
#include "test_unit.h"

#include <dirent.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char directory[] = "/tmp/hf-test-tls-XXXXXX";

static struct {
    struct test_cert authority, localhost, wild, expired, stranger;
    struct hf_tls *server; /* localhost, then *.wild.test */
    struct hf_tls *server13;
    struct hf_tls *old;    /* the expired one */
    struct hf_tls *client; /* trusts the authority */
    struct hf_tls *careless;
} world;

/* ---- the contract -------------------------------------------------------------------------------
 */

static struct hf_loop *loop_new(void *context)
{
    return hf_epoll_new();
}

static bool turn(void *context, struct hf_loop *loop, hf_time max_wait)
{
    return hf_epoll_turn(loop, max_wait);
}

static void address(void *context, struct hf_address *a)
{
    assert_true(hf_address_parse(HF_LITERAL("127.0.0.1:0"), a));
}

static void nobody(void *context, struct hf_address *a)
{
    address(context, a);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, &a->u.any, a->len), 0);
    assert_int_equal(getsockname(fd, &a->u.any, &a->len), 0);
    close(fd);
}

static size_t open_descriptors(void *context)
{
    size_t count = 0;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    while (readdir(dir) != NULL) {
        count++;
    }
    closedir(dir);
    return count;
}

static struct io_fixture fixture(const char *name, struct hf_tls *server)
{
    return (struct io_fixture){
        .name = name,
        .loop_new = loop_new,
        .turn = turn,
        .address = address,
        .nobody = nobody,
        .parcel_drop = hf_parcel_drop,
        .server = {server, true, NULL},
        .client = {world.client, false, "localhost"},
        .resets = true,
        .counts = true,
        .open_things = open_descriptors,
    };
}

/* ---- one connection -----------------------------------------------------------------------------
 */

struct side {
    struct hf_stream *stream;
    int opens;
    int ends;
    enum hf_end_kind kind;
    char detail[256];
    uint8_t got[1 << 18];
    size_t got_len;
};

struct pair {
    struct hf_loop *loop;
    struct hf_address address;
    struct hf_tls_how server;
    struct side at_server;
    struct side at_client;
};

#define UNTIL(pair, condition)                                                                     \
    do {                                                                                           \
        for (int left = 1000; !(condition); left--) {                                              \
            if (left == 0) {                                                                       \
                fail_msg("never: %s", #condition);                                                 \
            }                                                                                      \
            (void)hf_epoll_turn((pair)->loop, HF_MS(10));                                          \
        }                                                                                          \
    } while (0)

static void on_open(void *owner, struct hf_stream *stream)
{
    ((struct side *)owner)->opens++;
}

static size_t on_bytes(void *owner, struct hf_stream *stream, struct hf_slice bytes)
{
    struct side *s = owner;
    assert_true(s->got_len + bytes.len <= sizeof(s->got));
    memcpy(s->got + s->got_len, bytes.ptr, bytes.len);
    s->got_len += bytes.len;
    return bytes.len;
}

static void on_end(void *owner, struct hf_stream *stream, const struct hf_end *end)
{
    struct side *s = owner;
    s->ends++;
    s->kind = end->kind;
    snprintf(s->detail, sizeof(s->detail), "%s", end->detail);
}

static const struct hf_stream_handler handler = {on_open, on_bytes, NULL, on_end};

static void on_accept(void *owner, struct hf_stream *stream, const struct hf_address *peer)
{
    struct pair *p = owner;
    p->at_server.stream = stream;
    hf_stream_handle(stream, &handler, &p->at_server);
    assert_int_equal(hf_stream_start_tls(stream, &p->server), HF_OK);
    hf_stream_resume(stream);
}

static const struct hf_listener_handler door = {on_accept, NULL};

static struct pair *pair_new(struct hf_tls *server)
{
    struct pair *p = calloc(1, sizeof(*p));
    assert_non_null(p);
    p->loop = hf_epoll_new();
    p->server = (struct hf_tls_how){server, true, NULL};
    struct hf_listen how = {0};
    struct hf_listener *listener = NULL;
    address(NULL, &how.address);
    assert_int_equal(hf_loop_listen(p->loop, &how, &door, p, &listener), HF_OK);
    hf_listener_address(p->loop, listener, &p->address);
    return p;
}

static void pair_free(struct pair *p)
{
    hf_loop_free(p->loop);
    free(p);
}

static void dial(struct pair *p, struct hf_tls *client, const char *name)
{
    struct hf_connect how = {.address = p->address, .tls = {client, false, name}};
    assert_int_equal(hf_loop_connect(p->loop, &how, &handler, &p->at_client, &p->at_client.stream),
                     HF_OK);
}

/* Dials, and wants it to fail in these words. */
static void dial_in_vain(struct hf_tls *server, struct hf_tls *client, const char *name,
                         const char *words)
{
    struct pair *p = pair_new(server);
    dial(p, client, name);
    UNTIL(p, p->at_client.ends == 1);
    assert_int_equal(p->at_client.kind, HF_END_TLS_FAILED);
    assert_string_equal(p->at_client.detail, words);
    assert_int_equal(p->at_client.opens, 0);
    UNTIL(p, p->at_server.ends == 1);
    pair_free(p);
}

static void dial_well(struct hf_tls *server, struct hf_tls *client, const char *name)
{
    struct pair *p = pair_new(server);
    dial(p, client, name);
    UNTIL(p, p->at_client.opens == 1 && p->at_server.opens == 1);
    pair_free(p);
}

/* ---- verification -------------------------------------------------------------------------------
 */

static void a_certificate_of_the_right_name_is_believed(void **state)
{
    dial_well(world.server, world.client, "localhost");
    dial_well(world.server, world.client, "LOCALHOST.");
    dial_well(world.server, world.client, "127.0.0.1");
    dial_well(world.server, world.client, "::1");
    dial_well(world.server13, world.client, "localhost");
}

static void certificates_are_chosen_by_name_with_wildcards_for_one_label(void **state)
{
    dial_well(world.server, world.client, "a.wild.test");
    dial_well(world.server, world.client, "wild.example");
    dial_in_vain(world.server, world.client, "a.b.wild.test",
                 "certificate verify failed: hostname mismatch");
}

static void a_certificate_of_another_name_or_address_is_refused_in_words(void **state)
{
    dial_in_vain(world.server, world.client, "other.test",
                 "certificate verify failed: hostname mismatch");
    dial_in_vain(world.server, world.client, "192.0.2.1",
                 "certificate verify failed: IP address mismatch");
}

static void a_certificate_of_an_unknown_signer_or_past_its_time_is_refused_in_words(void **state)
{
    struct hf_tls *system = NULL;
    struct hf_buffer why;
    hf_buffer_init(&why, &hf_heap, 1000);
    struct hf_tls_client_options options = {0};
    assert_int_equal(hf_tls_client_new(&options, &system, &why), HF_OK);
    dial_in_vain(world.server, system, "localhost",
                 "certificate verify failed: unable to get local issuer certificate");
    dial_in_vain(world.old, world.client, "old.test",
                 "certificate verify failed: certificate has expired");
    hf_tls_unref(system);
    hf_buffer_reset(&why);
}

static void who_does_not_verify_connects_to_anyone(void **state)
{
    dial_well(world.old, world.careless, "whatever.test");
    dial_well(world.old, world.careless, NULL);
}

static void a_name_that_is_none_is_refused_at_once(void **state)
{
    struct pair *p = pair_new(world.server);
    struct hf_connect how = {.address = p->address, .tls = {world.client, false, ""}};
    struct hf_stream *stream = p->at_client.stream;
    assert_int_equal(hf_loop_connect(p->loop, &how, &handler, p, &stream), HF_INVALID);
    assert_null(stream);
    pair_free(p);
}

/* ---- strangers ----------------------------------------------------------------------------------
 */

static int plain_connect(const struct hf_address *a)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, &a->u.any, a->len), 0);
    return fd;
}

static void what_is_not_tls_fails_the_handshake_in_words(void **state)
{
    struct pair *p = pair_new(world.server);
    int fd = plain_connect(&p->address);
    assert_int_equal(write(fd, "GET / HTTP/1.1\r\n\r\n", 18), 18);
    UNTIL(p, p->at_server.ends == 1);
    assert_int_equal(p->at_server.kind, HF_END_TLS_FAILED);
    assert_string_equal(p->at_server.detail, "http request");
    assert_int_equal(p->at_server.opens, 0);
    close(fd);
    pair_free(p);
}

static void a_peer_that_leaves_during_the_handshake_fails_it(void **state)
{
    struct pair *p = pair_new(world.server);
    int fd = plain_connect(&p->address);
    assert_int_equal(write(fd, "\x16\x03\x01\x02\x00", 5), 5);
    close(fd);
    UNTIL(p, p->at_server.ends == 1);
    assert_int_equal(p->at_server.kind, HF_END_TLS_FAILED);
    assert_string_equal(p->at_server.detail,
                        "the peer closed the connection during the TLS handshake");
    pair_free(p);
}

/* A client of plain OpenSSL on a thread of its own. */
struct outsider {
    pthread_t thread;
    int fd;
    int version;
    const char *alpn; /* with lengths; NULL: none */
    void (*act)(struct outsider *o, SSL *ssl);
    bool connected;
    char chosen[16];
    uint8_t got[64];
    int got_len;
    int wait; /* a pipe */
    size_t total;
    bool notified;
    bool fin;
};

static void *outside(void *arg)
{
    struct outsider *o = arg;
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    if (o->version != 0) {
        SSL_CTX_set_min_proto_version(ctx, o->version);
        SSL_CTX_set_max_proto_version(ctx, o->version);
    }
    SSL *ssl = SSL_new(ctx);
    SSL_set_fd(ssl, o->fd);
    if (o->alpn != NULL) {
        SSL_set_alpn_protos(ssl, (const unsigned char *)o->alpn, (unsigned)strlen(o->alpn));
    }
    o->connected = SSL_connect(ssl) == 1;
    if (o->connected) {
        const unsigned char *chosen = NULL;
        unsigned len = 0;
        SSL_get0_alpn_selected(ssl, &chosen, &len);
        snprintf(o->chosen, sizeof(o->chosen), "%.*s", (int)len, (const char *)chosen);
        o->act(o, ssl);
    }
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    close(o->fd);
    ERR_clear_error();
    return NULL;
}

/* One record that is cut in pieces byte by byte would need a proxy; small writes come close. */
static void write_in_small_records(struct outsider *o, SSL *ssl)
{
    for (int i = 0; i < 10; i++) {
        (void)SSL_write(ssl, &"0123456789"[i], 1);
    }
}

static void say_and_leave(struct outsider *o, SSL *ssl)
{
    write_in_small_records(o, ssl);
    while (o->got_len < 2) {
        int n = SSL_read(ssl, o->got, sizeof(o->got));
        if (n <= 0) {
            return;
        }
        o->got_len += n;
    }
}

static void say_and_take_leave(struct outsider *o, SSL *ssl)
{
    say_and_leave(o, ssl);
    SSL_shutdown(ssl);
}

static void change_keys_often(struct outsider *o, SSL *ssl)
{
    for (int i = 0; i < 5; i++) {
        (void)SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED);
        (void)SSL_write(ssl, "k", 1);
    }
    say_and_leave(o, ssl);
    SSL_shutdown(ssl);
}

static void renegotiate(struct outsider *o, SSL *ssl)
{
    (void)SSL_renegotiate(ssl);
    (void)SSL_do_handshake(ssl);
    say_and_take_leave(o, ssl);
}

static struct pair *meet(struct outsider *o, int version, const char *alpn,
                         void (*act)(struct outsider *o, SSL *ssl))
{
    struct pair *p = pair_new(world.server);
    memset(o, 0, sizeof(*o));
    o->fd = plain_connect(&p->address);
    o->version = version;
    o->alpn = alpn;
    o->act = act;
    assert_int_equal(pthread_create(&o->thread, NULL, outside, o), 0);
    return p;
}

static void part(struct pair *p, struct outsider *o)
{
    pthread_join(o->thread, NULL);
    pair_free(p);
}

static void fin_without_close_notify_is_truncation(void **state)
{
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct outsider o;
        struct pair *p = meet(&o, version, "\x02h2\x08http/1.1", say_and_leave);
        UNTIL(p, p->at_server.got_len == 10);
        assert_int_equal(hf_stream_send(p->at_server.stream, HF_LITERAL("ok")), 2);
        UNTIL(p, p->at_server.ends == 1);
        assert_int_equal(p->at_server.kind, HF_END_TLS_TRUNCATED);
        assert_memory_equal(p->at_server.got, "0123456789", 10);
        assert_int_equal(hf_stream_send(p->at_server.stream, HF_LITERAL("x")), 0);
        assert_int_equal(hf_stream_send(p->at_server.stream, HF_LITERAL("x")), 0);
        part(p, &o);
        assert_memory_equal(o.got, "ok", 2);
        assert_string_equal(o.chosen, "http/1.1");
    }
}

static void close_notify_is_an_orderly_end(void **state)
{
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct outsider o;
        struct pair *p = meet(&o, version, NULL, say_and_take_leave);
        UNTIL(p, p->at_server.got_len == 10);
        assert_int_equal(hf_stream_send(p->at_server.stream, HF_LITERAL("ok")), 2);
        UNTIL(p, p->at_server.ends == 1);
        assert_int_equal(p->at_server.kind, HF_END_TLS_NOTIFY);
        part(p, &o);
    }
}

static void old_versions_and_foreign_protocols_are_refused(void **state)
{
    struct outsider o;
    struct pair *p = meet(&o, TLS1_1_VERSION, NULL, say_and_leave);
    UNTIL(p, p->at_server.ends == 1);
    assert_int_equal(p->at_server.kind, HF_END_TLS_FAILED);
    part(p, &o);
    assert_false(o.connected);
    p = meet(&o, 0, "\x02h2", say_and_leave);
    UNTIL(p, p->at_server.ends == 1);
    assert_int_equal(p->at_server.kind, HF_END_TLS_FAILED);
    part(p, &o);
    assert_false(o.connected);
}

static void keys_can_change_on_the_way(void **state)
{
    struct outsider o;
    struct pair *p = meet(&o, TLS1_3_VERSION, NULL, change_keys_often);
    UNTIL(p, p->at_server.got_len == 15);
    assert_int_equal(hf_stream_send(p->at_server.stream, HF_LITERAL("ok")), 2);
    UNTIL(p, p->at_server.ends == 1);
    assert_int_equal(p->at_server.kind, HF_END_TLS_NOTIFY);
    assert_memory_equal(p->at_server.got, "kkkkk0123456789", 15);
    part(p, &o);
    assert_memory_equal(o.got, "ok", 2);
}

/* Reads nothing before it is told, then all, and then what comes behind close_notify. */
static void read_late(struct outsider *o, SSL *ssl)
{
    static uint8_t bytes[1 << 16];
    char byte;
    int n;
    (void)read(o->wait, &byte, 1);
    while ((n = SSL_read(ssl, bytes, sizeof(bytes))) > 0) {
        o->total += (size_t)n;
    }
    o->notified = SSL_get_error(ssl, n) == SSL_ERROR_ZERO_RETURN;
    o->fin = recv(o->fd, &byte, 1, 0) == 0;
}

static void shut_sends_what_waits_then_close_notify_then_fin(void **state)
{
    static uint8_t bytes[100000];
    struct outsider o;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    struct pair *p = pair_new(world.server);
    memset(&o, 0, sizeof(o));
    o.fd = plain_connect(&p->address);
    o.act = read_late;
    o.wait = ends[0];
    assert_int_equal(pthread_create(&o.thread, NULL, outside, &o), 0);
    UNTIL(p, p->at_server.opens == 1);
    size_t sent = 0;
    size_t n;
    while ((n = hf_stream_send(p->at_server.stream, hf_slice(bytes, sizeof(bytes)))) > 0) {
        sent += n;
    }
    hf_stream_shut(p->at_server.stream);
    assert_int_equal(write(ends[1], "x", 1), 1);
    UNTIL(p, p->at_server.ends == 1); /* the outsider closes when it has all */
    part(p, &o);
    assert_int_equal(o.total, sent);
    assert_true(o.notified);
    assert_true(o.fin);
    close(ends[0]);
    close(ends[1]);
}

static void a_close_before_the_ticket_was_read_resets_nothing(void **state)
{
    static uint8_t bytes[200000];
    struct pair *p = pair_new(world.server13);
    dial(p, world.client, "localhost");
    UNTIL(p, p->at_client.opens == 1);
    hf_stream_pause(p->at_client.stream);
    UNTIL(p, p->at_server.opens == 1);
    hf_stream_pause(p->at_server.stream);
    for (int i = 0; i < 5; i++) {
        (void)hf_epoll_turn(p->loop, HF_MS(2)); /* the ticket arrives and is not read */
    }
    /* More than the server's TCP takes while it is paused: the rest is still the client's kernel's.
     */
    size_t sent = hf_stream_send(p->at_client.stream, hf_slice(bytes, sizeof(bytes)));
    assert_true(sent > 3);
    hf_stream_close(p->at_client.stream);
    for (int i = 0; i < 5; i++) {
        (void)hf_epoll_turn(p->loop, HF_MS(2));
    }
    hf_stream_resume(p->at_server.stream);
    UNTIL(p, p->at_server.ends == 1);
    assert_int_equal(p->at_server.kind, HF_END_TLS_NOTIFY);
    assert_int_equal(p->at_server.got_len, sent);
    pair_free(p);
}

static void renegotiation_is_refused_and_the_connection_lives(void **state)
{
    struct outsider o;
    struct pair *p = meet(&o, TLS1_2_VERSION, NULL, renegotiate);
    UNTIL(p, p->at_server.got_len == 10 || p->at_server.ends == 1);
    (void)hf_stream_send(p->at_server.stream, HF_LITERAL("ok"));
    UNTIL(p, p->at_server.ends == 1);
    assert_int_equal(p->at_server.opens, 1);
    part(p, &o);
}

/* ---- contexts -----------------------------------------------------------------------------------
 */

static void refused(const char *cert, const char *key, enum hf_status wanted, const char *words)
{
    struct hf_tls_certificate certificate = {cert, key};
    struct hf_tls_server_options options = {&certificate, 1, 0};
    struct hf_tls *tls = world.server;
    struct hf_buffer why;
    hf_buffer_init(&why, &hf_heap, 4096);
    assert_int_equal(hf_tls_server_new(&options, &tls, &why), wanted);
    assert_null(tls);
    assert_slice(hf_buffer_slice(&why), words);
    hf_buffer_reset(&why);
}

static void files_that_cannot_be_used_say_which_and_why(void **state)
{
    char words[1024];
    char empty[256];
    refused("/no/such.pem", world.localhost.key, HF_NOT_FOUND,
            "/no/such.pem: No such file or directory");
    refused(world.localhost.cert, "/no/such.key", HF_NOT_FOUND,
            "/no/such.key: No such file or directory");
    refused(directory, world.localhost.key, HF_IO,
            (snprintf(words, sizeof(words), "%s: Is a directory", directory), words));
    snprintf(words, sizeof(words), "%s: holds no certificate in PEM form", world.localhost.key);
    refused(world.localhost.key, world.localhost.key, HF_INVALID, words);
    snprintf(words, sizeof(words), "%s: holds no private key in PEM form", world.localhost.cert);
    refused(world.localhost.cert, world.localhost.cert, HF_INVALID, words);
    snprintf(words, sizeof(words), "%s: the key does not match the certificate in %s",
             world.wild.key, world.localhost.cert);
    refused(world.localhost.cert, world.wild.key, HF_INVALID, words);
    snprintf(empty, sizeof(empty), "%s/empty", directory);
    fclose(fopen(empty, "w"));
    snprintf(words, sizeof(words), "%s: holds no certificate in PEM form", empty);
    refused(empty, world.localhost.key, HF_INVALID, words);
    unlink(empty);
}

static void a_key_with_a_passphrase_is_refused_without_asking(void **state)
{
    char path[256];
    char words[512];
    snprintf(path, sizeof(path), "%s/locked.key", directory);
    EVP_PKEY *key = EVP_EC_gen("P-256");
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    PEM_write_PrivateKey(file, key, EVP_aes_128_cbc(), (const unsigned char *)"secret", 6, NULL,
                         NULL);
    fclose(file);
    EVP_PKEY_free(key);
    snprintf(words, sizeof(words), "%s: the key is encrypted; a key without a passphrase is needed",
             path);
    refused(world.localhost.cert, path, HF_INVALID, words);
    unlink(path);
}

static void a_client_says_which_authorities_are_missing(void **state)
{
    struct hf_tls *tls = NULL;
    struct hf_buffer why;
    hf_buffer_init(&why, &hf_heap, 4096);
    struct hf_tls_client_options options = {.ca = "/no/such/ca.pem"};
    assert_int_equal(hf_tls_client_new(&options, &tls, &why), HF_NOT_FOUND);
    assert_slice(hf_buffer_slice(&why), "/no/such/ca.pem: No such file or directory");
    options.ca = world.localhost.key;
    assert_int_equal(hf_tls_client_new(&options, &tls, &why), HF_INVALID);
    options.ca = directory;
    assert_int_equal(hf_tls_client_new(&options, &tls, &why), HF_OK);
    assert_int_equal(hf_tls_expires(tls), 0);
    hf_tls_unref(tls);
    hf_tls_unref(NULL);
    hf_buffer_reset(&why);
}

static void a_server_knows_when_its_default_certificate_expires(void **state)
{
    int64_t left = hf_tls_expires(world.server) / 1000 - (int64_t)time(NULL);
    assert_true(left > 29 * 86400 && left <= 30 * 86400);
    assert_true(hf_tls_expires(world.old) / 1000 < (int64_t)time(NULL));
    struct hf_tls *again = hf_tls_ref(world.server);
    assert_ptr_equal(again, world.server);
    hf_tls_unref(again);
}

/* ---- the group ----------------------------------------------------------------------------------
 */

static bool make_cert(const char *name, const char *alt, const struct test_cert *issuer, long days,
                      struct test_cert *cert)
{
    struct test_cert_how how = {directory, name, alt, issuer, issuer == NULL, days};
    return test_cert_make(&how, cert);
}

static bool make_contexts(void)
{
    struct hf_buffer why;
    hf_buffer_init(&why, &hf_heap, 4096);
    const struct hf_tls_certificate both[] = {{world.localhost.cert, world.localhost.key},
                                              {world.wild.cert, world.wild.key}};
    const struct hf_tls_certificate old = {world.expired.cert, world.expired.key};
    struct hf_tls_server_options options = {both, 2, 0};
    struct hf_tls_client_options client = {.ca = world.authority.cert};
    bool good = hf_tls_server_new(&options, &world.server, &why) == HF_OK;
    options.version_min = TLS1_3_VERSION;
    good = good && hf_tls_server_new(&options, &world.server13, &why) == HF_OK;
    options = (struct hf_tls_server_options){&old, 1, 0};
    good = good && hf_tls_server_new(&options, &world.old, &why) == HF_OK;
    good = good && hf_tls_client_new(&client, &world.client, &why) == HF_OK;
    client = (struct hf_tls_client_options){.no_verify = true};
    good = good && hf_tls_client_new(&client, &world.careless, &why) == HF_OK;
    if (!good) {
        fprintf(stderr, "%.*s\n", HF_SLICE_ARG(hf_buffer_slice(&why)));
    }
    hf_buffer_reset(&why);
    return good;
}

static bool make_world(void)
{
    return make_cert("authority", NULL, NULL, 30, &world.authority) &&
           make_cert("localhost", "DNS:localhost,IP:127.0.0.1,IP:::1", &world.authority, 30,
                     &world.localhost) &&
           make_cert("wild", "DNS:*.wild.test,DNS:wild.example", &world.authority, 30,
                     &world.wild) &&
           make_cert("old", "DNS:old.test", &world.authority, -1, &world.expired) &&
           make_contexts();
}

static void free_world(void)
{
    struct hf_tls *contexts[] = {world.server, world.server13, world.old, world.client,
                                 world.careless};
    for (size_t i = 0; i < 5; i++) {
        hf_tls_unref(contexts[i]);
    }
    test_cert_remove(&world.authority);
    test_cert_remove(&world.localhost);
    test_cert_remove(&world.wild);
    test_cert_remove(&world.expired);
    rmdir(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_certificate_of_the_right_name_is_believed),
        cmocka_unit_test(certificates_are_chosen_by_name_with_wildcards_for_one_label),
        cmocka_unit_test(a_certificate_of_another_name_or_address_is_refused_in_words),
        cmocka_unit_test(a_certificate_of_an_unknown_signer_or_past_its_time_is_refused_in_words),
        cmocka_unit_test(who_does_not_verify_connects_to_anyone),
        cmocka_unit_test(a_name_that_is_none_is_refused_at_once),
        cmocka_unit_test(what_is_not_tls_fails_the_handshake_in_words),
        cmocka_unit_test(a_peer_that_leaves_during_the_handshake_fails_it),
        cmocka_unit_test(fin_without_close_notify_is_truncation),
        cmocka_unit_test(close_notify_is_an_orderly_end),
        cmocka_unit_test(old_versions_and_foreign_protocols_are_refused),
        cmocka_unit_test(keys_can_change_on_the_way),
        cmocka_unit_test(shut_sends_what_waits_then_close_notify_then_fin),
        cmocka_unit_test(a_close_before_the_ticket_was_read_resets_nothing),
        cmocka_unit_test(renegotiation_is_refused_and_the_connection_lives),
        cmocka_unit_test(files_that_cannot_be_used_say_which_and_why),
        cmocka_unit_test(a_key_with_a_passphrase_is_refused_without_asking),
        cmocka_unit_test(a_client_says_which_authorities_are_missing),
        cmocka_unit_test(a_server_knows_when_its_default_certificate_expires),
    };
    if (mkdtemp(directory) == NULL || !make_world()) {
        return 1;
    }
    struct io_fixture any = fixture("contract: tls 1.3", world.server);
    int failed = io_contract_run(&any);
    failed += cmocka_run_group_tests_name("tls", tests, NULL, NULL);
    free_world();
    return failed;
}
