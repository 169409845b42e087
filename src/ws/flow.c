/* SPDX-License-Identifier: Apache-2.0 */
/* Frames that pass by; see flow.h. */
#include "ws/flow.h"

static enum hf_flow_kind fault(struct hf_flow_step *step, uint16_t code, const char *why)
{
    step->size = 0;
    step->code = code;
    step->why = why;
    return HF_FLOW_FAULT;
}

/* Payload of the open frame: as much as is there. */
static enum hf_flow_kind pass_payload(struct hf_flow *flow, const struct hf_flow_rules *rules,
                                      struct hf_slice bytes, struct hf_flow_step *step)
{
    struct hf_slice run =
        hf_slice_first(bytes, flow->left < bytes.len ? (size_t)flow->left : bytes.len);
    if (rules->utf8 && flow->opcode == HF_OP_TEXT && !flow->compressed) {
        bool good = rules->masked ? hf_utf8_feed_masked(&flow->utf8, run, flow->mask, flow->phase)
                                  : hf_utf8_feed(&flow->utf8, run);
        flow->phase = (uint8_t)((flow->phase + run.len) & 3);
        /* RFC 6455 8.1; text may not end within a character. */
        if (!good || (run.len == flow->left && flow->last && flow->utf8 != 0)) {
            return fault(step, HF_CLOSE_BAD_DATA, "text is not UTF-8");
        }
    }
    flow->left -= run.len;
    step->size += run.len;
    if (flow->left == 0 && flow->last) {
        step->ends = true;
        flow->opcode = 0;
        flow->message = 0;
        flow->utf8 = 0;
    }
    return HF_FLOW_DATA;
}

/* The rules that hold for every frame; NULL when it keeps them. */
static const char *check_head(const struct hf_frame_head *head, const struct hf_flow_rules *rules)
{
    if (head->masked != rules->masked) { /* RFC 6455 5.1 */
        return rules->masked ? "a client's frame is not masked" : "a server's frame is masked";
    }
    if (!hf_opcode_is_known(head->opcode)) { /* RFC 6455 5.2 */
        return "reserved opcode";
    }
    if ((head->rsv & 3) != 0) {
        return "reserved bit is set";
    }
    return NULL;
}

static const char *check_data(const struct hf_flow *flow, const struct hf_flow_rules *rules,
                              const struct hf_frame_head *head)
{
    if (head->opcode == HF_OP_CONTINUATION) { /* RFC 6455 5.4 */
        if (flow->opcode == 0) {
            return "continuation without a message";
        }
        return head->rsv != 0 ? "RSV1 on a continuation" : NULL; /* RFC 7692 6.1 */
    }
    if (flow->opcode != 0) {
        return "a new message within a fragmented one";
    }
    return head->rsv != 0 && !rules->deflate ? "RSV1 without permessage-deflate" : NULL;
}

static enum hf_flow_kind begin_data(struct hf_flow *flow, const struct hf_flow_rules *rules,
                                    struct hf_slice bytes, struct hf_flow_step *step)
{
    const struct hf_frame_head *head = &step->head;
    const char *why = check_data(flow, rules, head);
    if (why != NULL) {
        return fault(step, HF_CLOSE_PROTOCOL, why);
    }
    if (head->length > rules->frame_max) {
        step->frame_too_big = true;
        return fault(step, HF_CLOSE_TOO_BIG, "frame is larger than frame_max");
    }
    if (head->length > rules->message_max || flow->message > rules->message_max - head->length) {
        return fault(step, HF_CLOSE_TOO_BIG, "message is larger than message_max");
    }
    step->begins = flow->opcode == 0;
    step->empty = head->length == 0 && !(step->begins && head->fin);
    if (step->begins) {
        flow->opcode = head->opcode;
        flow->compressed = head->rsv != 0;
    }
    flow->message += head->length;
    flow->left = head->length;
    flow->last = head->fin;
    flow->phase = 0;
    memcpy(flow->mask, head->mask, sizeof(flow->mask));
    step->size = head->size;
    return pass_payload(flow, rules, hf_slice_from(bytes, head->size), step);
}

static enum hf_flow_kind take_control(struct hf_slice bytes, struct hf_flow_step *step)
{
    const struct hf_frame_head *head = &step->head;
    if (!head->fin) { /* RFC 6455 5.5 */
        return fault(step, HF_CLOSE_PROTOCOL, "a control frame is fragmented");
    }
    if (head->rsv != 0) {
        return fault(step, HF_CLOSE_PROTOCOL, "reserved bit is set on a control frame");
    }
    if (head->length > HF_CONTROL_PAYLOAD_MAX) {
        return fault(step, HF_CLOSE_PROTOCOL, "a control frame is longer than 125 bytes");
    }
    if (bytes.len < head->size + head->length) {
        return HF_FLOW_MORE;
    }
    step->size = head->size + (size_t)head->length;
    return HF_FLOW_CONTROL;
}

/* What is there of a head is judged already: a fault must not wait for bytes that may never come.
 */
static enum hf_flow_kind judge_part(struct hf_slice bytes, const struct hf_flow_rules *rules,
                                    struct hf_flow_step *step)
{
    if (bytes.len < 2) {
        return HF_FLOW_MORE;
    }
    struct hf_frame_head part = {.rsv = (bytes.ptr[0] >> 4) & 7,
                                 .opcode = bytes.ptr[0] & 15,
                                 .masked = (bytes.ptr[1] & 0x80) != 0};
    const char *why = check_head(&part, rules);
    return why != NULL ? fault(step, HF_CLOSE_PROTOCOL, why) : HF_FLOW_MORE;
}

enum hf_flow_kind hf_flow_next(struct hf_flow *flow, const struct hf_flow_rules *rules,
                               struct hf_slice bytes, struct hf_flow_step *step)
{
    step->size = 0;
    step->begins = false;
    step->ends = false;
    step->empty = false;
    step->frame_too_big = false;
    if (bytes.len == 0) {
        return HF_FLOW_MORE;
    }
    if (flow->left > 0) {
        return pass_payload(flow, rules, bytes, step);
    }
    enum hf_frame_read read = hf_frame_read_head(bytes, &step->head);
    if (read == HF_FRAME_MORE) {
        return judge_part(bytes, rules, step);
    }
    if (read == HF_FRAME_BAD_LENGTH) {
        return fault(step, HF_CLOSE_PROTOCOL, "length is not in its shortest form");
    }
    const char *why = check_head(&step->head, rules);
    if (why != NULL) {
        return fault(step, HF_CLOSE_PROTOCOL, why);
    }
    if (hf_opcode_is_control(step->head.opcode)) {
        return take_control(bytes, step);
    }
    return begin_data(flow, rules, bytes, step);
}
