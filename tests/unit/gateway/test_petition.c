/* SPDX-License-Identifier: Apache-2.0 */
/* What a request to a backend is made from: the copy that outlives an opening, and the newer token
 * in it. What of a client's head goes on at all is tested with the whole program. */
#include "gateway/petition.h"

#include "test_unit.h"

#include <stdlib.h>

#define KEY "dGhlIHNhbXBsZSBub25jZQ=="

struct stage {
    struct hf_config config;
    struct hf_runtime runtime;
    struct hf_route_config route_config;
    struct hf_route route;
    struct hf_upstream_config upstream;
    struct hf_backend backend;
    struct hf_identity *identity;
    char *bytes; /* that the head borrows from */
    struct hf_head head;
    struct hf_petition petition;
};

static void set_up(struct stage *s, const char *request)
{
    const char *why = "";
    memset(s, 0, sizeof(*s));
    s->config.head_max = 16384;
    s->runtime.config = &s->config;
    s->route_config.path = "/";
    s->route_config.preserve_host = true;
    s->route_config.auth.kind = HF_AUTH_JWT;
    s->route_config.jwt.query = "token";
    s->route_config.jwt.cookie = "session";
    s->route_config.jwt.from = HF_TOKEN_QUERY | HF_TOKEN_HEADER | HF_TOKEN_COOKIE;
    s->route.config = &s->route_config;
    s->upstream.host = "app";
    s->upstream.path = "";
    s->backend.config = &s->upstream;
    s->identity = calloc(1, sizeof(*s->identity) + 8);
    s->identity->runtime = &s->runtime;
    s->identity->route = &s->route;
    s->identity->backend = &s->backend;
    s->bytes = strdup(request);
    assert_int_equal(hf_request_read(hf_slice_of(s->bytes), 16384, &s->head, &why), HF_HEAD_READ);
    s->petition = (struct hf_petition){.head = &s->head,
                                       .path = HF_LITERAL("/ws"),
                                       .protocols = HF_LITERAL("chat, soap"),
                                       .offers = HF_LITERAL("permessage-deflate"),
                                       .extra = HF_LITERAL("X-User: 7\r\n"),
                                       .tls = true};
    s->petition.peer[10] = s->petition.peer[11] = 0xff;
    s->petition.peer[12] = 192;
    s->petition.peer[15] = 9;
}

/* What the petition borrowed from is gone. */
static void burn(struct stage *s)
{
    memset(s->bytes, '#', strlen(s->bytes));
    memset(&s->head, 0xee, sizeof(s->head));
    memset(&s->petition, 0xee, sizeof(s->petition));
}

static void tear_down(struct stage *s)
{
    free(s->bytes);
    free(s->identity);
}

static char *written(const struct stage *s, const struct hf_petition *p)
{
    struct hf_buffer out;
    hf_buffer_init(&out, &hf_heap, 65536);
    hf_petition_write(p, s->identity, HF_LITERAL(KEY), &out);
    assert_false(out.failed);
    char *text = hf_alloc_text(&hf_heap, hf_buffer_slice(&out));
    assert_non_null(text);
    hf_buffer_reset(&out);
    return text;
}

static void assert_has(const char *text, const char *wanted)
{
    if (strstr(text, wanted) == NULL) {
        fail_msg("\"%s\" is not in\n%s", wanted, text);
    }
}

static void assert_lacks(const char *text, const char *unwanted)
{
    if (strstr(text, unwanted) != NULL) {
        fail_msg("\"%s\" is in\n%s", unwanted, text);
    }
}

static const char plain[] = "GET /ws?a=%41 HTTP/1.1\r\nHost: chat.example\r\nOrigin: "
                            "https://chat.example\r\nCookie: a=1; b=2\r\n\r\n";

static void a_copy_writes_the_same_request_when_all_it_was_made_from_is_gone(void **state)
{
    struct stage s;
    set_up(&s, plain);
    char *before = written(&s, &s.petition);
    struct hf_petition *copy = hf_petition_new(&s.petition);
    assert_non_null(copy);
    burn(&s);
    char *after = written(&s, copy);
    assert_string_equal(before, after);
    assert_has(after, "GET /ws?a=%41 HTTP/1.1\r\nHost: chat.example\r\n");
    assert_has(after, "\r\nSec-WebSocket-Key: " KEY "\r\n");
    assert_has(after, "\r\nSec-WebSocket-Protocol: chat, soap\r\n");
    assert_has(after, "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n");
    assert_has(after, "\r\nCookie: a=1; b=2\r\n");
    assert_has(after, "\r\nX-Forwarded-For: 192.0.0.9\r\n");
    assert_has(after, "\r\nX-Forwarded-Proto: https\r\n");
    assert_has(after, "\r\nX-User: 7\r\n\r\n");
    free(before);
    free(after);
    hf_petition_free(copy);
    tear_down(&s);
}

static void its_bytes_are_those_of_its_block_and_its_token(void **state)
{
    struct stage s;
    set_up(&s, plain);
    struct hf_petition *copy = hf_petition_new(&s.petition);
    size_t bytes = hf_petition_bytes(copy);
    assert_true(bytes > sizeof(*copy) + strlen("/ws?a=%41chat.example") && bytes < 1024);
    assert_int_equal(hf_petition_set_token(copy, HF_LITERAL("12345"), hf_slice(NULL, 0)), HF_OK);
    assert_int_equal(hf_petition_bytes(copy), bytes + 5);
    assert_int_equal(hf_petition_set_token(copy, HF_LITERAL("123"), hf_slice(NULL, 0)), HF_OK);
    assert_int_equal(hf_petition_bytes(copy), bytes + 3);
    struct hf_petition *again = hf_petition_new(copy);
    assert_int_equal(hf_petition_bytes(again), hf_petition_bytes(copy));
    hf_petition_free(copy);
    assert_slice(again->token, "123");
    hf_petition_free(again);
    hf_petition_free(NULL);
    tear_down(&s);
}

/* The request with a newer token, from a copy. */
static char *renewed(struct stage *s, const char *token)
{
    struct hf_petition *copy = hf_petition_new(&s->petition);
    assert_int_equal(hf_petition_set_token(copy, HF_LITERAL("first"), hf_slice(NULL, 0)), HF_OK);
    assert_int_equal(hf_petition_set_token(copy, hf_slice_of(token), hf_slice(NULL, 0)), HF_OK);
    char *text = written(s, copy);
    hf_petition_free(copy);
    assert_lacks(text, "OLD");
    assert_lacks(text, "first");
    return text;
}

static void a_newer_token_stands_wherever_the_old_one_stood(void **state)
{
    struct stage s;
    set_up(&s, "GET /ws?a=1&token=OLD&b HTTP/1.1\r\nHost: h\r\nauthorization: bearer OLD\r\n"
               "Cookie: x=y; session=OLD;z=%3B\r\n\r\n");
    char *text = renewed(&s, "new+er");
    assert_has(text, "GET /ws?a=1&token=new%2Ber&b HTTP/1.1\r\n");
    assert_has(text, "\r\nAuthorization: Bearer new+er\r\n");
    assert_has(text, "\r\nCookie: x=y; session=new+er; z=%3B\r\n");
    free(text);
    tear_down(&s);
}

static void a_newer_token_is_put_nowhere_else(void **state)
{
    struct stage s;
    set_up(&s, "GET /ws?a=1 HTTP/1.1\r\nHost: h\r\nAuthorization: Basic eDp5\r\n"
               "Cookie: x=y\r\n\r\n");
    char *text = renewed(&s, "newer");
    assert_has(text, "GET /ws?a=1 HTTP/1.1\r\n");
    assert_has(text, "\r\nAuthorization: Basic eDp5\r\n");
    assert_has(text, "\r\nCookie: x=y\r\n");
    assert_lacks(text, "newer");
    free(text);
    tear_down(&s);
    set_up(&s, "GET /ws?token=mine HTTP/1.1\r\nHost: h\r\nCookie: session=mine\r\n\r\n");
    s.route_config.jwt.from = HF_TOKEN_HEADER;
    text = renewed(&s, "newer");
    assert_has(text, "GET /ws?token=mine HTTP/1.1\r\n");
    assert_has(text, "\r\nCookie: session=mine\r\n");
    free(text);
    tear_down(&s);
}

static void where_tokens_are_stripped_no_newer_one_goes_on_in_query_or_header(void **state)
{
    struct stage s;
    set_up(&s, "GET /ws?token=OLD&a=1 HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer OLD\r\n\r\n");
    s.route_config.jwt.strip = true;
    char *text = renewed(&s, "newer");
    assert_has(text, "GET /ws?a=1 HTTP/1.1\r\n");
    assert_lacks(text, "newer");
    assert_lacks(text, "Authorization");
    free(text);
    tear_down(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_copy_writes_the_same_request_when_all_it_was_made_from_is_gone),
        cmocka_unit_test(its_bytes_are_those_of_its_block_and_its_token),
        cmocka_unit_test(a_newer_token_stands_wherever_the_old_one_stood),
        cmocka_unit_test(a_newer_token_is_put_nowhere_else),
        cmocka_unit_test(where_tokens_are_stripped_no_newer_one_goes_on_in_query_or_header),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
