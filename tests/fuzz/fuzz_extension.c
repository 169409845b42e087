/* SPDX-License-Identifier: Apache-2.0 */
/* Sec-WebSocket-Extensions. The lines of the input are the header's lines of a request, up to an
 * empty line; the rest are those of a response. The offers that are kept are kept again from
 * themselves; our own answer to them is accepted by our own reading with the same outcome; nothing
 * is agreed that is out of range. */
#include "fuzz.h"
#include "http/head.h"
#include "ws/extension.h"

#define NAME "Sec-WebSocket-Extensions"

static bool is_value(struct hf_slice line)
{
    for (size_t i = 0; i < line.len; i++) {
        if ((line.ptr[i] < ' ' && line.ptr[i] != '\t') || line.ptr[i] == 0x7f) {
            return false;
        }
    }
    return true;
}

/* Takes lines off *text into head, up to an empty one. Lines that no head can hold are left out. */
static void take_lines(struct hf_slice *text, struct hf_head *head)
{
    struct hf_slice line;

    head->count = 0;
    while (hf_slice_next(text, '\n', &line) && line.len > 0) {
        if (head->count < HF_HEADERS_MAX && is_value(line)) {
            head->headers[head->count++] =
                (struct hf_header){HF_LITERAL(NAME), hf_slice_trim(line)};
        }
    }
}

static void check_agreed(enum hf_extension_check check, const struct hf_deflate *agreed)
{
    HF_ASSERT(agreed->agreed == (check == HF_EXTENSION_OK));
    HF_ASSERT(agreed->server_bits >= 8 && agreed->server_bits <= 15);
    HF_ASSERT(agreed->client_bits >= 8 && agreed->client_bits <= 15);
}

/* The kept offers, read as a request's header, are kept again byte for byte. */
static void check_kept(struct hf_slice offers)
{
    static struct hf_head head;
    struct hf_buffer again;

    head.count = 1;
    head.headers[0] = (struct hf_header){HF_LITERAL(NAME), offers};
    hf_buffer_init(&again, &hf_heap, 1 << 20);
    HF_ASSERT(hf_extension_offers(&head, &again) == HF_EXTENSION_OK);
    HF_ASSERT(hf_slice_eq(hf_buffer_slice(&again), offers));
    hf_buffer_reset(&again);
}

static void check_own_answer(struct hf_slice offers)
{
    static struct hf_head head;
    struct hf_buffer answer;
    struct hf_deflate said;
    struct hf_deflate heard;

    hf_buffer_init(&answer, &hf_heap, 1 << 20);
    HF_ASSERT(hf_extension_accept(offers, &answer, &said) == HF_EXTENSION_OK);
    check_agreed(HF_EXTENSION_OK, &said);
    head.count = 1;
    head.headers[0] = (struct hf_header){HF_LITERAL(NAME), hf_buffer_slice(&answer)};
    HF_ASSERT(hf_extension_answer(&head, offers, &heard) == HF_EXTENSION_OK);
    HF_ASSERT(said.server_bits == heard.server_bits && said.client_bits == heard.client_bits);
    HF_ASSERT(said.server_no_context_takeover == heard.server_no_context_takeover);
    HF_ASSERT(said.client_no_context_takeover == heard.client_no_context_takeover);
    hf_buffer_reset(&answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct hf_head request;
    static struct hf_head response;
    struct hf_slice text = hf_slice(data, size);
    struct hf_buffer offers;
    struct hf_deflate agreed;
    enum hf_extension_check check;

    take_lines(&text, &request);
    take_lines(&text, &response);
    hf_buffer_init(&offers, &hf_heap, 1 << 20);
    check = hf_extension_offers(&request, &offers);
    HF_ASSERT(check != HF_EXTENSION_REFUSED);
    if (check == HF_EXTENSION_OK) {
        check_kept(hf_buffer_slice(&offers));
        check_own_answer(hf_buffer_slice(&offers));
    }
    if (check != HF_EXTENSION_SYNTAX) {
        check = hf_extension_answer(&response, hf_buffer_slice(&offers), &agreed);
        check_agreed(check, &agreed);
        HF_ASSERT(check != HF_EXTENSION_OK || offers.len > 0);
    }
    hf_buffer_reset(&offers);
    return 0;
}
