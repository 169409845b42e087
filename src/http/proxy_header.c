/* SPDX-License-Identifier: Apache-2.0 */
/* The PROXY protocol's header, read strictly: haproxy.org's proxy-protocol.txt, sections 2.1
 * and 2.2.
 *
 *   version 1:  "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443" CR LF     at most 107 bytes
 *   version 2:  12 bytes of signature
 *               version 2 (4 bits) | command (4 bits)                0 LOCAL, 1 PROXY
 *               family (4 bits) | transport (4 bits)                 1 IPv4, 2 IPv6, 3 Unix | 1
 * stream, 2 datagram length of the rest (16 bits) source, destination, source port, destination
 * port, then TLVs: type (8), length (16), value
 */
#include "http/proxy_header.h"

#include <arpa/inet.h>

#define V1_BYTES_MAX 107
#define V2_FIXED_BYTES 16

static const struct hf_slice v1_signature = {(const uint8_t *)"PROXY ", 6};
static const struct hf_slice v2_signature = {(const uint8_t *)"\r\n\r\n\0\r\nQUIT\n", 12};

static enum hf_proxy_read refuse(const char **why, const char *sentence)
{
    *why = sentence;
    return HF_PROXY_BAD;
}

static void set_ipv4(uint8_t to[16], const uint8_t *from)
{
    memset(to, 0, 10);
    to[10] = 0xff;
    to[11] = 0xff;
    memcpy(to + 12, from, 4);
}

static bool parse_address(struct hf_slice text, int family, uint8_t address[16])
{
    char copy[INET6_ADDRSTRLEN];
    uint8_t binary[16];

    if (text.len == 0 || text.len >= sizeof(copy)) {
        return false;
    }
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    if (inet_pton(family, copy, binary) != 1) {
        return false;
    }
    if (family == AF_INET) {
        set_ipv4(address, binary);
    } else {
        memcpy(address, binary, sizeof(binary));
    }
    return true;
}

static bool parse_port(struct hf_slice text, uint16_t *port)
{
    uint64_t value;

    if (text.len > 5 || (text.len > 1 && text.ptr[0] == '0') ||
        !hf_slice_number(text, UINT16_MAX, &value)) {
        return false;
    }
    *port = (uint16_t)value;
    return true;
}

/* line is what stands between "PROXY " and CR LF. */
static enum hf_proxy_read read_v1_line(struct hf_slice line, struct hf_proxy_header *header,
                                       const char **why)
{
    struct hf_slice fields[6] = {{NULL, 0}};
    size_t count = 0;
    bool ends_with_space = hf_slice_ends(line, HF_LITERAL(" "));
    int family;

    while (count < 6 && hf_slice_next(&line, ' ', &fields[count])) {
        count++;
    }
    if (hf_slice_eq(fields[0], HF_LITERAL("UNKNOWN"))) {
        header->local = true;
        return HF_PROXY_READ;
    }
    if (hf_slice_eq(fields[0], HF_LITERAL("TCP4"))) {
        family = AF_INET;
    } else if (hf_slice_eq(fields[0], HF_LITERAL("TCP6"))) {
        family = AF_INET6;
    } else {
        return refuse(why, "the PROXY line names neither TCP4 nor TCP6 nor UNKNOWN");
    }
    if (count != 5 || line.len > 0 || ends_with_space) {
        return refuse(why, "the PROXY line has not two addresses and two ports");
    }
    if (!parse_address(fields[1], family, header->source) ||
        !parse_address(fields[2], family, header->destination)) {
        return refuse(why, "an address in the PROXY line is malformed");
    }
    if (!parse_port(fields[3], &header->source_port) ||
        !parse_port(fields[4], &header->destination_port)) {
        return refuse(why, "a port in the PROXY line is malformed");
    }
    return HF_PROXY_READ;
}

static enum hf_proxy_read read_v1(struct hf_slice bytes, struct hf_proxy_header *header,
                                  const char **why)
{
    struct hf_slice seen = hf_slice_first(bytes, V1_BYTES_MAX);
    size_t end = v1_signature.len;

    while (end < seen.len && seen.ptr[end] >= ' ' && seen.ptr[end] < 0x7f) {
        end++;
    }
    if (end == seen.len || (seen.ptr[end] == '\r' && end + 1 == seen.len)) {
        return seen.len == V1_BYTES_MAX ? refuse(why, "the PROXY line is longer than 107 bytes")
                                        : HF_PROXY_MORE;
    }
    if (seen.ptr[end] != '\r' || seen.ptr[end + 1] != '\n') {
        return refuse(why, "the PROXY line does not end with CR LF");
    }
    header->size = (uint32_t)end + 2;
    return read_v1_line(hf_slice(seen.ptr + v1_signature.len, end - v1_signature.len), header, why);
}

static bool tlvs_are_whole(struct hf_slice tlvs)
{
    while (tlvs.len > 0) {
        size_t size;

        if (tlvs.len < 3) {
            return false;
        }
        size = 3 + ((size_t)tlvs.ptr[1] << 8 | tlvs.ptr[2]);
        if (size > tlvs.len) {
            return false;
        }
        tlvs = hf_slice_from(tlvs, size);
    }
    return true;
}

/* rest is all behind the fixed part. */
static enum hf_proxy_read read_v2_rest(uint8_t family, struct hf_slice rest,
                                       struct hf_proxy_header *header, const char **why)
{
    static const size_t address_bytes[] = {0, 4, 16, 108}; /* by family */
    size_t each = address_bytes[family >> 4];
    size_t ports = family >> 4 == 3 ? 0 : 4;

    if (rest.len < 2 * each + ports) {
        return refuse(why, "the PROXY header is too short for its addresses");
    }
    if (!tlvs_are_whole(hf_slice_from(rest, 2 * each + ports))) {
        return refuse(why, "the PROXY header's extra fields do not fit its length");
    }
    if (family >> 4 == 3) {
        header->local = true; /* There is no IP address in it. */
        return HF_PROXY_READ;
    }
    if (family >> 4 == 1) {
        set_ipv4(header->source, rest.ptr);
        set_ipv4(header->destination, rest.ptr + each);
    } else {
        memcpy(header->source, rest.ptr, each);
        memcpy(header->destination, rest.ptr + each, each);
    }
    rest = hf_slice_from(rest, 2 * each);
    header->source_port = (uint16_t)(rest.ptr[0] << 8 | rest.ptr[1]);
    header->destination_port = (uint16_t)(rest.ptr[2] << 8 | rest.ptr[3]);
    return HF_PROXY_READ;
}

static enum hf_proxy_read read_v2(struct hf_slice bytes, struct hf_proxy_header *header,
                                  const char **why)
{
    uint8_t command;
    uint8_t family;

    if (bytes.len > 12 && bytes.ptr[12] != 0x20 && bytes.ptr[12] != 0x21) {
        return refuse(why, "the PROXY header's version is not 2 or its command is unknown");
    }
    if (bytes.len < V2_FIXED_BYTES) {
        return HF_PROXY_MORE;
    }
    command = bytes.ptr[12] & 15;
    family = bytes.ptr[13];
    header->size = V2_FIXED_BYTES + (uint32_t)(bytes.ptr[14] << 8 | bytes.ptr[15]);
    if (header->size > HF_PROXY_HEADER_MAX) {
        return refuse(why, "the PROXY header is longer than 536 bytes");
    }
    if (bytes.len < header->size) {
        return HF_PROXY_MORE;
    }
    /* A LOCAL header's family and addresses are skipped unread; so is a family that is not given.
     */
    if (command == 0 || family == 0) {
        header->local = true;
        return HF_PROXY_READ;
    }
    if (family != 0x11 && family != 0x21 && family != 0x31) {
        return refuse(why, "the PROXY header is not about a TCP or Unix stream");
    }
    return read_v2_rest(family, hf_slice(bytes.ptr + V2_FIXED_BYTES, header->size - V2_FIXED_BYTES),
                        header, why);
}

enum hf_proxy_read hf_proxy_header_read(struct hf_slice bytes, struct hf_proxy_header *header,
                                        const char **why)
{
    memset(header, 0, sizeof(*header));
    *why = NULL;
    if (hf_slice_starts(bytes, v1_signature)) {
        return read_v1(bytes, header, why);
    }
    if (hf_slice_starts(bytes, v2_signature)) {
        return read_v2(bytes, header, why);
    }
    if (hf_slice_starts(v1_signature, bytes) || hf_slice_starts(v2_signature, bytes)) {
        return HF_PROXY_MORE;
    }
    return refuse(why, "the connection does not begin with a PROXY header");
}
