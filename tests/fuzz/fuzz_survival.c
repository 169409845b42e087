/* SPDX-License-Identifier: Apache-2.0 */
/* Survival of any lifetimes: the curve falls within its band, peaks lie where they say, and their
 * shares are shares. */
#include "cause/survival.h"
#include "fuzz.h"

#include <math.h>

static int64_t take_number(struct hf_slice *rest)
{
    unsigned shift = take_byte(rest) % 40;
    return (int64_t)((uint64_t)take_byte(rest) << 8 | take_byte(rest)) << (shift / 2);
}

static void check_curve(struct hf_survival *s)
{
    struct hf_survival_point points[40];
    size_t count = hf_survival_curve(s, points, 40);

    HF_ASSERT(count <= 40 && (count > 0) == (hf_survival_total(s) > 0));
    for (size_t i = 0; i < count; i++) {
        HF_ASSERT(points[i].low >= 0 && points[i].low <= points[i].alive + 1e-9);
        HF_ASSERT(points[i].high <= 1 && points[i].high >= points[i].alive - 1e-9);
        HF_ASSERT(i == 0 || (points[i].age > points[i - 1].age &&
                             points[i].alive <= points[i - 1].alive + 1e-9));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hf_slice rest = hf_slice(data, size);
    struct hf_survival *s = hf_survival_new(&hf_heap, 1);
    struct hf_peak peaks[HF_SURVIVAL_PEAKS];
    double share = 0;
    size_t count;

    HF_ASSERT(s != NULL);
    while (rest.len > 0) {
        uint8_t flags = take_byte(&rest);
        struct hf_lifetime l = {.age = take_number(&rest), .ended = take_number(&rest)};
        l.messages_up = flags & 1 ? take_byte(&rest) : -1;
        l.messages_down = flags & 2 ? take_number(&rest) : -1;
        l.bytes_up = flags & 4 ? take_number(&rest) : -1;
        l.bytes_down = flags & 8 ? take_number(&rest) : -1;
        l.censored = (flags & 0x30) == 0x30;
        for (unsigned i = 0; i <= flags >> 6; i++) {
            HF_ASSERT(hf_survival_add(s, &l) == HF_OK);
        }
    }
    check_curve(s);
    count = hf_survival_peaks(s, peaks, HF_SURVIVAL_PEAKS);
    for (size_t i = 0; i < count; i++) {
        HF_ASSERT(peaks[i].low <= peaks[i].at && peaks[i].at <= peaks[i].high);
        HF_ASSERT(isfinite(peaks[i].strength) && peaks[i].count >= 3);
        share += peaks[i].share;
    }
    HF_ASSERT(share < 1.01);
    HF_ASSERT(hf_survival_period(peaks, count) >= 0);
    HF_ASSERT(hf_survival_hazard(s, 0, HF_SECONDS(10)) >= 0);
    (void)hf_survival_quantile(s, 0.5);
    hf_survival_free(s);
    return 0;
}
