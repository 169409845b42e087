/* SPDX-License-Identifier: Apache-2.0 */
/* The gateway's side of a session: tokens and attempts, credit and acknowledging both ways,
 * windows, the poison rule, and a state that travels. */
#include "session/session.h"

#include "test_alloc.h"
#include "test_unit.h"
#include "ws/frame.h"

static const struct hf_session_rules rules = {.buffer = 1000,
                                              .park_bytes = 4000,
                                              .message_max = 100000,
                                              .window = HF_SECONDS(120),
                                              .leave = HF_SECONDS(5),
                                              .beat = HF_SECONDS(15)};
static struct test_alloc ta;
static struct hf_session s;
static hf_time now;
static uint8_t bytes[100000];

static struct hf_slice payload(size_t len)
{
    return hf_slice(bytes, len);
}

static int begin(void **state)
{
    test_alloc_init(&ta);
    now = HF_SECONDS(1000);
    hf_session_init(&s, 77, 5);
    return 0;
}

static int end(void **state)
{
    hf_session_fini(&s, &ta.alloc);
    return ta.live_blocks == 0 ? 0 : -1;
}

/* A token whose secret is the letter, of the generation that it is offered as. */
static struct hf_token token_of(char letter, uint32_t generation)
{
    struct hf_token t = {.id = 77, .generation = generation};
    memset(t.secret, letter, sizeof(t.secret));
    return t;
}

static struct hf_token offer(char letter)
{
    struct hf_token t = token_of(letter, 0);
    t.generation = hf_session_offer(&s, t.secret);
    return t;
}

/* Opened and attached, with its first hello. */
static struct hf_token opened(void)
{
    (void)hf_session_attach(&s, &ta.alloc, NULL, 0, 0, now);
    hf_session_opened(&s);
    return offer('a');
}

static enum hf_resume_verdict check(const struct hf_token *t, uint64_t received, uint64_t attempt)
{
    return hf_session_check(&s, t, 5, received, attempt, false);
}

static void attach(const struct hf_token *t, uint64_t received, uint64_t attempt)
{
    assert_int_equal(check(t, received, attempt), HF_RESUME_OK);
    (void)hf_session_attach(&s, &ta.alloc, t, received, attempt, now);
}

static void lose(void)
{
    hf_session_detach(&s, rules.window, now);
}

static void add(size_t len)
{
    assert_int_equal(hf_session_add(&s, &ta.alloc, HF_OP_BINARY, payload(len)), HF_OK);
}

/* Sends what the credit permits; returns how many went. */
static unsigned send_all(void)
{
    struct hf_record record;
    unsigned count = 0;
    while (hf_session_next(&s, &rules, &record)) {
        hf_session_sent(&s);
        count++;
    }
    return count;
}

/* ---- states ------------------------------------------------------------------------------------
 */

static void a_state_becomes_only_what_it_may(void **state)
{
    static const char *const may[HF_SESSION_STATES] = {"01101", "00111", "01011", "00001", "00000"};
    for (unsigned from = 0; from < HF_SESSION_STATES; from++) {
        for (unsigned to = 0; to < HF_SESSION_STATES; to++) {
            bool wanted = may[from][to] == '1';
            assert_int_equal(
                hf_session_may_become((enum hf_session_state)from, (enum hf_session_state)to),
                wanted);
        }
    }
}

static void a_session_whose_client_left_while_it_opened_is_parked(void **state)
{
    (void)hf_session_attach(&s, &ta.alloc, NULL, 0, 0, now);
    lose();
    assert_int_equal(s.state, HF_SESSION_OPENING);
    hf_session_opened(&s);
    assert_int_equal(s.state, HF_SESSION_PARKED);
}

/* ---- tokens and attempts -----------------------------------------------------------------------
 */

static void a_resume_with_the_offered_token_makes_it_the_accepted_one(void **state)
{
    struct hf_token a = opened();
    lose();
    attach(&a, 0, 1);
    struct hf_token b = offer('b');
    lose();
    attach(&a, 0, 2); /* b may have been lost with its hello */
    struct hf_token c = offer('c');
    assert_int_equal(check(&b, 0, 3), HF_RESUME_UNKNOWN);
    assert_int_equal(check(&c, 0, 3), HF_RESUME_OK);
}

static void the_first_control_message_makes_the_offered_token_the_only_one(void **state)
{
    struct hf_token a = opened();
    lose();
    attach(&a, 0, 1);
    struct hf_token b = offer('b');
    hf_session_heard(&s);
    assert_int_equal(check(&a, 0, 2), HF_RESUME_STALE);
    assert_int_equal(check(&b, 0, 2), HF_RESUME_OK);
    assert_false(hf_session_knows(&s, &a));
}

static void before_its_first_hello_a_session_has_no_good_token(void **state)
{
    (void)hf_session_attach(&s, &ta.alloc, NULL, 0, 0, now);
    struct hf_token none = token_of('\0', 0);
    assert_int_equal(check(&none, 0, 1), HF_RESUME_UNKNOWN);
}

static void a_forged_secret_is_unknown_whatever_its_generation(void **state)
{
    (void)opened();
    for (uint32_t generation = 1; generation < 4; generation++) {
        struct hf_token forged = token_of('x', generation);
        assert_int_equal(check(&forged, 0, 1), HF_RESUME_UNKNOWN);
    }
    struct hf_token foreign = token_of('a', 1);
    foreign.id = 78;
    assert_int_equal(check(&foreign, 0, 1), HF_RESUME_UNKNOWN);
}

static void an_attempt_that_is_not_above_the_highest_is_stale(void **state)
{
    struct hf_token a = opened();
    attach(&a, 0, 5);
    assert_int_equal(check(&a, 0, 5), HF_RESUME_STALE);
    assert_int_equal(check(&a, 0, 4), HF_RESUME_STALE);
    assert_int_equal(check(&a, 0, 6), HF_RESUME_OK);
}

static void another_epoch_says_nothing(void **state)
{
    struct hf_token a = opened();
    assert_int_equal(hf_session_check(&s, &a, 6, 0, 1, false), HF_RESUME_EPOCH);
}

static void numbers_that_were_never_given_are_unknown(void **state)
{
    struct hf_token a = opened();
    add(10);
    add(10);
    assert_int_equal(send_all(), 2);
    assert_null(hf_session_acked(&s, &ta.alloc, 2));
    assert_int_equal(check(&a, 3, 1), HF_RESUME_UNKNOWN);
    assert_int_equal(check(&a, 1, 1), HF_RESUME_UNKNOWN);
    assert_int_equal(hf_session_check(&s, &a, 5, 1, 1, true), HF_RESUME_OK);
    assert_int_equal(hf_session_attach(&s, &ta.alloc, &a, 1, 1, now), 1);
}

/* ---- to the client -----------------------------------------------------------------------------
 */

static void what_was_not_received_is_sent_again_from_there(void **state)
{
    struct hf_record record;
    struct hf_token a = opened();
    for (size_t len = 1; len <= 5; len++) {
        add(len);
    }
    assert_int_equal(send_all(), 5);
    lose();
    attach(&a, 2, 1);
    assert_true(hf_session_next(&s, &rules, &record));
    assert_int_equal(record.number, 3);
    assert_int_equal(record.payload.len, 3);
    assert_int_equal(send_all(), 3);
}

static void the_credit_is_kept_to_and_an_ack_opens_it(void **state)
{
    (void)opened();
    for (int i = 0; i < 12; i++) {
        add(84); /* 100 each */
    }
    assert_int_equal(send_all(), 10);
    assert_null(hf_session_acked(&s, &ta.alloc, 3));
    assert_int_equal(send_all(), 2);
    assert_false(hf_session_is_live(&s, &rules, 85));
    assert_null(hf_session_acked(&s, &ta.alloc, 12));
    assert_true(hf_session_is_live(&s, &rules, 50000));
}

static void with_nothing_unacknowledged_one_message_of_any_size_goes(void **state)
{
    (void)opened();
    add(50000);
    add(1);
    assert_int_equal(send_all(), 1);
    assert_null(hf_session_acked(&s, &ta.alloc, 1));
    assert_int_equal(send_all(), 1);
}

static void an_ack_beyond_what_was_sent_or_one_that_goes_back_is_a_fault(void **state)
{
    (void)opened();
    add(10);
    add(10);
    add(50000);
    assert_int_equal(send_all(), 2);
    assert_non_null(hf_session_acked(&s, &ta.alloc, 3));
    assert_null(hf_session_acked(&s, &ta.alloc, 2));
    assert_null(hf_session_acked(&s, &ta.alloc, 2)); /* it may repeat */
    assert_non_null(hf_session_acked(&s, &ta.alloc, 1));
}

static void the_backend_is_read_up_to_the_buffer_attached_and_park_bytes_parked(void **state)
{
    struct hf_token a = opened();
    while (hf_session_has_room(&s, &rules, now)) {
        add(84);
    }
    assert_int_equal(s.journal.cost, 1000);
    (void)send_all();
    lose();
    while (hf_session_has_room(&s, &rules, now)) {
        add(84);
    }
    assert_int_equal(s.journal.cost, 4000);
    attach(&a, 10, 1);
    assert_false(hf_session_has_room(&s, &rules, now));
}

static void a_journal_that_stays_full_for_a_window_is_an_overflow(void **state)
{
    (void)opened();
    add(2000);
    (void)send_all();
    assert_false(hf_session_has_room(&s, &rules, now));
    now += rules.window - 1;
    assert_int_equal(hf_session_verdict(&s, &rules, now), HF_RESUME_OK);
    now += 1;
    assert_int_equal(hf_session_verdict(&s, &rules, now), HF_RESUME_OVERFLOW);
    assert_null(hf_session_acked(&s, &ta.alloc, 1));
    assert_int_equal(hf_session_verdict(&s, &rules, now), HF_RESUME_OK);
}

/* ---- from the client ---------------------------------------------------------------------------
 */

static void pass(size_t len)
{
    assert_true(hf_session_may_receive(&s, &rules, len));
    hf_session_passed(&s, len, now);
    hf_session_taken(&s);
}

static void an_ack_is_due_when_a_quarter_of_the_credit_is_used(void **state)
{
    (void)opened();
    pass(84);
    pass(84);
    assert_false(hf_session_owes_ack(&s, &rules, now));
    pass(34); /* 250 */
    assert_true(hf_session_owes_ack(&s, &rules, now));
    hf_session_told(&s, now);
    assert_int_equal(s.told, 3);
    assert_false(hf_session_owes_ack(&s, &rules, now));
}

static void an_ack_is_due_a_second_after_the_first_message_without_one(void **state)
{
    (void)opened();
    now += HF_SECONDS(3);
    pass(1);
    assert_int_equal(hf_session_deadline(&s, &rules), now + HF_ACK_DELAY);
    now += HF_ACK_DELAY - 1;
    assert_false(hf_session_owes_ack(&s, &rules, now));
    now += 1;
    assert_true(hf_session_owes_ack(&s, &rules, now));
}

static void a_beat_is_due_though_nothing_came(void **state)
{
    (void)opened();
    assert_int_equal(hf_session_deadline(&s, &rules), now + rules.beat);
    now += rules.beat;
    assert_true(hf_session_owes_ack(&s, &rules, now));
}

static void what_the_backend_has_not_taken_is_not_acknowledged(void **state)
{
    (void)opened();
    hf_session_passed(&s, 500, now);
    assert_int_equal(hf_session_queue(&s, &ta.alloc, HF_OP_TEXT, payload(400), now), HF_OK);
    now += HF_SECONDS(2);
    assert_false(hf_session_owes_ack(&s, &rules, now));
    hf_session_taken(&s);
    assert_true(hf_session_owes_ack(&s, &rules, now));
    hf_session_told(&s, now);
    assert_int_equal(s.told, 1);
    hf_session_written(&s, &ta.alloc);
    hf_session_taken(&s);
    hf_session_told(&s, now);
    assert_int_equal(s.told, 2);
}

static void beyond_the_credit_nothing_may_be_received_but_one_message_of_any_size(void **state)
{
    (void)opened();
    assert_true(hf_session_may_receive(&s, &rules, 100000));
    hf_session_passed(&s, 484, now); /* 500 */
    assert_true(hf_session_may_receive(&s, &rules, 484));
    assert_false(hf_session_may_receive(&s, &rules, 485));
    hf_session_taken(&s);
    assert_false(hf_session_may_receive(&s, &rules, 485)); /* taken, but not told */
    hf_session_told(&s, now);
    assert_true(hf_session_may_receive(&s, &rules, 100000));
}

static void the_queue_keeps_its_order_and_its_places(void **state)
{
    struct hf_record record;
    (void)opened();
    assert_int_equal(hf_session_queue(&s, &ta.alloc, HF_OP_TEXT, payload(7), now), HF_OK);
    assert_int_equal(hf_session_queue(&s, &ta.alloc, 0, payload(0), now), HF_OK);
    assert_true(hf_session_waiting(&s, &record));
    assert_int_equal(record.opcode, HF_OP_TEXT);
    assert_int_equal(record.payload.len, 7);
    hf_session_written(&s, &ta.alloc);
    assert_true(hf_session_waiting(&s, &record));
    assert_int_equal(record.opcode, 0);
    hf_session_written(&s, &ta.alloc);
    assert_false(hf_session_waiting(&s, &record));
    assert_int_equal(s.written, 2);
}

/* ---- windows and poison ------------------------------------------------------------------------
 */

static void a_window_counts_from_the_loss_and_ends_at_its_end(void **state)
{
    struct hf_token a = opened();
    now += HF_SECONDS(500);
    assert_int_equal(hf_session_verdict(&s, &rules, now), HF_RESUME_OK);
    lose();
    assert_int_equal(hf_session_deadline(&s, &rules), now + rules.window);
    now += rules.window - 1;
    assert_int_equal(hf_session_verdict(&s, &rules, now), HF_RESUME_OK);
    attach(&a, 0, 1);
    now += rules.window;
    assert_int_equal(hf_session_verdict(&s, &rules, now), HF_RESUME_OK);
    hf_session_detach(&s, rules.leave, now);
    now += rules.leave;
    assert_int_equal(hf_session_verdict(&s, &rules, now), HF_RESUME_EXPIRED);
}

/* The client answers the hello, the next message goes out, and the connection is lost. */
static void hear_and_lose(void)
{
    hf_session_heard(&s);
    (void)send_all();
    lose();
}

static void too_many_losses_at_the_same_message_are_poison(void **state)
{
    struct hf_token a = opened();
    add(10);
    add(10);
    for (uint64_t attempt = 1; attempt < HF_POISON_STRIKES; attempt++) {
        hear_and_lose();
        attach(&a, 1, attempt);
    }
    hear_and_lose();
    assert_int_equal(check(&a, 1, HF_POISON_STRIKES), HF_RESUME_POISON);
    assert_int_equal(check(&a, 2, HF_POISON_STRIKES), HF_RESUME_OK); /* it came through */
}

static void losses_before_the_hello_was_answered_are_no_poison(void **state)
{
    struct hf_token a = opened();
    add(10);
    for (uint64_t attempt = 1; attempt <= 3 * HF_POISON_STRIKES; attempt++) {
        (void)send_all();
        lose();
        attach(&a, 0, attempt);
    }
}

static void a_message_that_came_through_between_clears_the_suspicion(void **state)
{
    struct hf_token a = opened();
    for (uint64_t i = 0; i < (uint64_t)HF_POISON_STRIKES * 4; i++) {
        add(10);
        hear_and_lose();
        attach(&a, i / (HF_POISON_STRIKES - 1), i + 1); /* each is lost nearly too often */
    }
}

static void losses_with_nothing_under_way_are_no_poison(void **state)
{
    struct hf_token a = opened();
    add(10);
    (void)send_all();
    for (uint64_t attempt = 1; attempt <= 3 * HF_POISON_STRIKES; attempt++) {
        hear_and_lose();
        attach(&a, 1, attempt);
    }
}

/* ---- save and load -----------------------------------------------------------------------------
 */

static void some_life(void)
{
    struct hf_token a = opened();
    hf_session_heard(&s);
    for (size_t len = 0; len < 9; len++) {
        add(len * 100);
    }
    (void)send_all();
    assert_null(hf_session_acked(&s, &ta.alloc, 2));
    pass(100);
    assert_int_equal(hf_session_queue(&s, &ta.alloc, HF_OP_TEXT, payload(50), now), HF_OK);
    assert_int_equal(hf_session_queue(&s, &ta.alloc, 0, payload(0), now), HF_OK);
    lose();
    attach(&a, 3, 9);
    (void)offer('b');
    assert_int_equal(hf_session_closed(&s, &ta.alloc, 4400, hf_slice_of("enough")), HF_OK);
    lose();
}

static void save(struct hf_buffer *out)
{
    hf_buffer_init(out, &hf_heap, 1 << 20);
    hf_session_save(&s, now, out);
    assert_false(out->failed);
}

static void a_state_that_travelled_is_the_same(void **state)
{
    struct hf_buffer first, second;
    some_life();
    now += HF_SECONDS(20);
    save(&first);
    hf_session_fini(&s, &ta.alloc);
    now = HF_SECONDS(7); /* another machine's clock */
    assert_int_equal(hf_session_load(&s, &ta.alloc, &rules, hf_buffer_slice(&first), now), HF_OK);
    assert_int_equal(s.state, HF_SESSION_CLOSING);
    assert_int_equal(hf_session_deadline(&s, &rules), now + HF_SECONDS(100));
    save(&second);
    assert_true(hf_slice_eq(hf_buffer_slice(&first), hf_buffer_slice(&second)));
    struct hf_token b = token_of('b', 2);
    struct hf_token a = token_of('a', 1);
    assert_int_equal(check(&b, 3, 10), HF_RESUME_OK);
    assert_int_equal(check(&a, 3, 10), HF_RESUME_OK);
    attach(&b, 3, 10);
    assert_int_equal(send_all(), 2);
    assert_int_equal(s.counted, 3);
    assert_int_equal(s.taken, 1);
    assert_int_equal(s.close->code, 4400);
    hf_buffer_reset(&first);
    hf_buffer_reset(&second);
}

static void a_state_that_is_cut_or_longer_is_refused(void **state)
{
    struct hf_buffer saved;
    some_life();
    save(&saved);
    hf_session_fini(&s, &ta.alloc);
    for (size_t len = 0; len < saved.len; len++) {
        assert_int_equal(hf_session_load(&s, &ta.alloc, &rules, hf_slice(saved.data, len), now),
                         HF_INVALID);
        assert_int_equal(ta.live_blocks, 0);
    }
    hf_buffer_add_byte(&saved, 0);
    assert_int_equal(hf_session_load(&s, &ta.alloc, &rules, hf_buffer_slice(&saved), now),
                     HF_INVALID);
    saved.len--;
    saved.data[3]++; /* a version of later */
    assert_int_equal(hf_session_load(&s, &ta.alloc, &rules, hf_buffer_slice(&saved), now),
                     HF_INVALID);
    hf_buffer_reset(&saved);
}

static void without_memory_a_load_leaves_nothing_behind(void **state)
{
    struct hf_buffer saved;
    some_life();
    save(&saved);
    hf_session_fini(&s, &ta.alloc);
    for (size_t nth = 1;; nth++) {
        test_alloc_fail_at(&ta, nth);
        enum hf_status status =
            hf_session_load(&s, &ta.alloc, &rules, hf_buffer_slice(&saved), now);
        if (status == HF_OK) {
            assert_true(nth > 2);
            break;
        }
        assert_int_equal(status, HF_NO_MEMORY);
        assert_int_equal(ta.live_blocks, 0);
    }
    hf_buffer_reset(&saved);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define STORY(name) cmocka_unit_test_setup_teardown(name, begin, end)
        STORY(a_state_becomes_only_what_it_may),
        STORY(a_session_whose_client_left_while_it_opened_is_parked),
        STORY(a_resume_with_the_offered_token_makes_it_the_accepted_one),
        STORY(the_first_control_message_makes_the_offered_token_the_only_one),
        STORY(before_its_first_hello_a_session_has_no_good_token),
        STORY(a_forged_secret_is_unknown_whatever_its_generation),
        STORY(an_attempt_that_is_not_above_the_highest_is_stale),
        STORY(another_epoch_says_nothing),
        STORY(numbers_that_were_never_given_are_unknown),
        STORY(what_was_not_received_is_sent_again_from_there),
        STORY(the_credit_is_kept_to_and_an_ack_opens_it),
        STORY(with_nothing_unacknowledged_one_message_of_any_size_goes),
        STORY(an_ack_beyond_what_was_sent_or_one_that_goes_back_is_a_fault),
        STORY(the_backend_is_read_up_to_the_buffer_attached_and_park_bytes_parked),
        STORY(a_journal_that_stays_full_for_a_window_is_an_overflow),
        STORY(an_ack_is_due_when_a_quarter_of_the_credit_is_used),
        STORY(an_ack_is_due_a_second_after_the_first_message_without_one),
        STORY(a_beat_is_due_though_nothing_came),
        STORY(what_the_backend_has_not_taken_is_not_acknowledged),
        STORY(beyond_the_credit_nothing_may_be_received_but_one_message_of_any_size),
        STORY(the_queue_keeps_its_order_and_its_places),
        STORY(a_window_counts_from_the_loss_and_ends_at_its_end),
        STORY(too_many_losses_at_the_same_message_are_poison),
        STORY(losses_before_the_hello_was_answered_are_no_poison),
        STORY(a_message_that_came_through_between_clears_the_suspicion),
        STORY(losses_with_nothing_under_way_are_no_poison),
        STORY(a_state_that_travelled_is_the_same),
        STORY(a_state_that_is_cut_or_longer_is_refused),
        STORY(without_memory_a_load_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
