/* SPDX-License-Identifier: Apache-2.0 */
/* A direction of frames that pass by: the whole input at once and the same in small pieces must
 * come to the same messages, the same control frames and the same fault. The first three bytes are
 * the rules. */
#include "base/buffer.h"
#include "fuzz.h"
#include "ws/flow.h"

#define NOTES_MAX 4096

/* What came of the bytes, without how they were cut. */
struct trace {
    struct note {
        bool control; /* a control frame, else the end of a message */
        uint8_t opcode;
        size_t end; /* offset of the byte behind it */
    } notes[NOTES_MAX];
    size_t count;
    size_t covered;
    size_t begun; /* messages */
    uint16_t fault;
    bool frame_too_big;
};

static void add_note(struct trace *t, bool control, uint8_t opcode)
{
    HF_ASSERT(t->count < NOTES_MAX);
    t->notes[t->count++] = (struct note){control, opcode, t->covered};
}

static void check_step(const struct hf_flow *flow, const struct hf_flow_rules *rules,
                       struct hf_slice offered, const struct hf_flow_step *step)
{
    HF_ASSERT(step->size > 0 && step->size <= offered.len);
    HF_ASSERT(!step->ends || hf_flow_between_messages(flow));
    HF_ASSERT(flow->message <= rules->message_max);
    HF_ASSERT(flow->left <= flow->message);
}

/* Offers bytes as a reader does: a piece more each time, all that is not yet covered. */
static void pass(struct hf_slice bytes, const struct hf_flow_rules *rules, size_t step_bytes,
                 struct trace *t)
{
    struct hf_flow flow = {0};
    struct hf_flow_step step;
    size_t there = 0;

    memset(t, 0, sizeof(*t));
    while (there < bytes.len && t->fault == 0) {
        enum hf_flow_kind kind = HF_FLOW_DATA;

        there = bytes.len - there < step_bytes ? bytes.len : there + step_bytes;
        while (kind != HF_FLOW_MORE && t->fault == 0) {
            struct hf_slice offered = exact(hf_slice(bytes.ptr + t->covered, there - t->covered));
            uint8_t opcode = flow.opcode;

            kind = hf_flow_next(&flow, rules, offered, &step);
            if (kind == HF_FLOW_FAULT) {
                HF_ASSERT(step.why != NULL && step.size == 0);
                HF_ASSERT(step.code == 1002 || step.code == 1007 || step.code == 1009);
                t->fault = step.code;
                t->frame_too_big = step.frame_too_big;
            } else if (kind != HF_FLOW_MORE) {
                check_step(&flow, rules, offered, &step);
                t->covered += step.size;
                t->begun += kind == HF_FLOW_DATA && step.begins ? 1 : 0;
                opcode = kind == HF_FLOW_CONTROL || step.begins ? step.head.opcode : opcode;
                if (kind == HF_FLOW_CONTROL || step.ends) {
                    add_note(t, kind == HF_FLOW_CONTROL, opcode);
                }
            }
            exact_free(offered);
        }
    }
}

static void check_same(const struct trace *whole, const struct trace *split)
{
    HF_ASSERT(whole->fault == split->fault && whole->frame_too_big == split->frame_too_big);
    HF_ASSERT(whole->count == split->count);
    for (size_t i = 0; i < whole->count; i++) {
        HF_ASSERT(whole->notes[i].control == split->notes[i].control);
        HF_ASSERT(whole->notes[i].opcode == split->notes[i].opcode);
        HF_ASSERT(whole->notes[i].end == split->notes[i].end);
    }
    /* Before a fault in a payload some of it may have gone by in pieces. */
    HF_ASSERT(whole->fault == 0 ? whole->covered == split->covered
                                : whole->covered <= split->covered);
    HF_ASSERT(whole->fault == 0 ? whole->begun == split->begun : whole->begun <= split->begun);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct trace whole;
    static struct trace split;
    struct hf_slice bytes = hf_slice(data, size);
    uint8_t bits = take_byte(&bytes);
    uint8_t frame = take_byte(&bytes);
    uint8_t message = take_byte(&bytes);
    struct hf_flow_rules rules = {
        .masked = (bits & 1) != 0,
        .deflate = (bits & 2) != 0,
        .utf8 = (bits & 4) != 0,
        .frame_max = frame == 255 ? UINT64_MAX : (uint64_t)frame * 8,
        .message_max = message == 255 ? UINT64_MAX : (uint64_t)message * 16,
    };

    if (bytes.len > NOTES_MAX) {
        return 0;
    }
    pass(bytes, &rules, SIZE_MAX, &whole);
    for (size_t step = 1; step <= 13; step += 4) {
        pass(bytes, &rules, step, &split);
        check_same(&whole, &split);
    }
    return 0;
}
