/* SPDX-License-Identifier: Apache-2.0 */
/* PROXY headers: a prefix never promises what the whole does not hold, and addresses that are
 * written as a binary header read the same. */
#include "fuzz.h"
#include "http/proxy_header.h"

static bool is_ipv4(const uint8_t address[16])
{
    static const uint8_t mapped[12] = {[10] = 0xff, 0xff};

    return memcmp(address, mapped, sizeof(mapped)) == 0;
}

static void check_round_trip(const struct hf_proxy_header *h)
{
    uint8_t out[16 + 36] = "\r\n\r\n\0\r\nQUIT\n\x21";
    bool ipv4 = is_ipv4(h->source) && is_ipv4(h->destination);
    size_t each = ipv4 ? 4 : 16;
    uint8_t *at = out + 16;
    struct hf_proxy_header again;
    const char *why;

    out[13] = ipv4 ? 0x11 : 0x21;
    out[15] = (uint8_t)(2 * each + 4);
    memcpy(at, h->source + 16 - each, each);
    memcpy(at + each, h->destination + 16 - each, each);
    at += 2 * each;
    at[0] = (uint8_t)(h->source_port >> 8);
    at[1] = (uint8_t)h->source_port;
    at[2] = (uint8_t)(h->destination_port >> 8);
    at[3] = (uint8_t)h->destination_port;
    HF_ASSERT(hf_proxy_header_read(hf_slice(out, 20 + 2 * each), &again, &why) == HF_PROXY_READ);
    HF_ASSERT(!again.local && again.size == 20 + 2 * each);
    HF_ASSERT(memcmp(again.source, h->source, 16) == 0);
    HF_ASSERT(memcmp(again.destination, h->destination, 16) == 0);
    HF_ASSERT(again.source_port == h->source_port);
    HF_ASSERT(again.destination_port == h->destination_port);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hf_proxy_header header;
    struct hf_proxy_header part;
    const char *why;
    enum hf_proxy_read read = hf_proxy_header_read(hf_slice(data, size), &header, &why);

    HF_ASSERT((why != NULL) == (read == HF_PROXY_BAD));
    HF_ASSERT(read != HF_PROXY_MORE || size < HF_PROXY_HEADER_MAX);
    for (size_t len = 0; len < size && len <= HF_PROXY_HEADER_MAX + 8; len++) {
        struct hf_slice prefix = exact(hf_slice(data, len));
        enum hf_proxy_read verdict = hf_proxy_header_read(prefix, &part, &why);

        HF_ASSERT(verdict == HF_PROXY_MORE || verdict == read);
        HF_ASSERT(read != HF_PROXY_READ || (verdict == HF_PROXY_READ) == (len >= header.size));
        exact_free(prefix);
    }
    if (read == HF_PROXY_READ) {
        HF_ASSERT(header.size <= size && header.size <= HF_PROXY_HEADER_MAX);
        if (!header.local) {
            check_round_trip(&header);
        }
    }
    return 0;
}
