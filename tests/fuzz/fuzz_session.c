/* SPDX-License-Identifier: Apache-2.0 */
/* The saved state of a session. What is taken must be one whose invariants hold, which can be
 * attached to and read to its end, and which says the same when it is saved again. */
#include "fuzz.h"
#include "session/session.h"

static const struct hf_session_rules rules = {.buffer = 65536,
                                              .park_bytes = 65536,
                                              .message_max = 65536,
                                              .window = HF_SECONDS(120),
                                              .leave = HF_SECONDS(5),
                                              .beat = HF_SECONDS(15)};

static void read_on(struct hf_session *s, hf_time now)
{
    struct hf_record record;
    (void)hf_session_attach(s, &hf_heap, NULL, s->sent.number, 0, now);
    while (hf_session_next(s, &rules, &record)) {
        hf_session_sent(s);
        HF_ASSERT(hf_session_acked(s, &hf_heap, record.number) == NULL);
    }
    HF_ASSERT(s->sent.number == s->journal.end && s->journal.cost == 0);
    while (hf_session_waiting(s, &record)) {
        hf_session_written(s, &hf_heap);
    }
    hf_session_taken(s);
    HF_ASSERT(s->taken == s->counted);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const hf_time now = HF_SECONDS(1000);
    struct hf_session s;
    struct hf_buffer again;
    if (hf_session_load(&s, &hf_heap, &rules, hf_slice(data, size), now) != HF_OK) {
        return 0;
    }
    HF_ASSERT(s.taken <= s.written && s.sent.number >= s.journal.base);
    hf_buffer_init(&again, &hf_heap, size + 64);
    hf_session_save(&s, now, &again);
    HF_ASSERT(!again.failed && again.len == size);
    read_on(&s, now);
    hf_buffer_reset(&again);
    hf_session_fini(&s, &hf_heap);
    return 0;
}
