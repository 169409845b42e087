/* SPDX-License-Identifier: Apache-2.0 */
/* What a stranger's address, names, headers and Close reason make of the catalogue: a host is one
 * of the table, a name is known with and without its dot, and likelihoods stay likelihoods.
 *
 * Input: one byte how it ended, two the code, two the age, then "name: value", or a reason. */
#include "cause/hosting.h"
#include "cause/rank.h"
#include "fuzz.h"

#define CAUSES 8

static void check_host(const struct hf_hosting *h)
{
    HF_ASSERT(h == NULL || hf_hosting_find(hf_slice_of(h->id)) == h);
}

static void check_cname(struct hf_slice name)
{
    uint8_t dotted[256];
    const struct hf_hosting *h = hf_hosting_by_cname(name);
    check_host(h);
    if (name.len < sizeof(dotted) && name.len > 0 && name.ptr[name.len - 1] != '.') {
        memcpy(dotted, name.ptr, name.len);
        dotted[name.len] = '.';
        HF_ASSERT(hf_hosting_by_cname(hf_slice(dotted, name.len + 1)) == h);
    }
}

static void check_one(const uint8_t *data, struct hf_slice text)
{
    struct hf_named_cause causes[CAUSES];
    struct hf_trial t = {.arm = "fuzz"};
    t.end.how = (enum hf_trial_how)(data[0] % HF_HOW_KINDS);
    t.end.phase = data[0] & 0x80 ? HF_PHASE_UPGRADE : HF_PHASE_OPEN;
    t.end.code = t.end.http = (uint16_t)(data[1] << 8 | data[2]);
    t.end.age = (hf_time)(data[3] << 8 | data[4]) * HF_MS(100);
    t.end.silent_rx = t.end.age / 2;
    struct hf_slice reason = hf_slice_first(text, sizeof(t.end.reason) - 1);
    if (reason.len > 0) {
        memcpy(t.end.reason, reason.ptr, reason.len);
    }
    size_t count = hf_infer_one(&t, NULL, causes, CAUSES);
    double sum = 0;
    HF_ASSERT(count <= CAUSES && (count == 0 || hf_trial_is_dead(&t)));
    for (size_t i = 0; i < count; i++) {
        HF_ASSERT(causes[i].likelihood > 0 && causes[i].likelihood <= 1);
        HF_ASSERT(i == 0 || causes[i].likelihood <= causes[i - 1].likelihood);
        sum += causes[i].likelihood;
    }
    HF_ASSERT(sum <= 1 + 1e-9);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 5) {
        check_host(hf_hosting_by_address(data, size));
        return 0;
    }
    struct hf_slice text = hf_slice(data + 5, size - 5);
    size_t colon = hf_slice_find(text, ':');
    check_host(hf_hosting_by_address(data, size < 16 ? 4 : 16));
    check_host(hf_hosting_by_header(hf_slice_first(text, colon),
                                    hf_slice_trim(hf_slice_from(text, colon + 1))));
    check_cname(text);
    check_one(data, text);
    return 0;
}
