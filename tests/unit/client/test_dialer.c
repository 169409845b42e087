/* SPDX-License-Identifier: Apache-2.0 */
/* Attempts on the real loop: a crowd that begins at one instant. */
#include "client/dialer.h"
#include "io/epoll.h"
#include "ws/handshake.h"

#include "test_unit.h"

#include <unistd.h>

#define CROWD 6000 /* more than the loop looks names up at once */

static unsigned done, losses[HF_LOSS_COUNT];

static void on_done(void *owner, const struct hf_dialer_result *result)
{
    (void)owner;
    done++;
    losses[result->loss]++;
}

/* A port that nobody listens at: it was one's own a moment ago. */
static uint16_t closed_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof(address);
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    close(fd);
    return ntohs(address.sin_port);
}

static void a_crowd_that_asks_for_a_name_at_one_instant_is_answered_in_turn(void **state)
{
    struct hf_loop *loop = hf_epoll_new();
    struct hf_dialer_how how = {.request = HF_LITERAL("GET"), .timeout = HF_SECONDS(20)};
    char url[64];
    const char *why;
    char key[HF_WS_KEY_CHARS] = {0};
    (void)hf_descriptors_raise();
    (void)snprintf(url, sizeof(url), "ws://localhost:%u/", closed_port());
    assert_true(hf_url_parse(hf_slice_of(url), &how.url, &why));
    how.key = hf_slice(key, sizeof(key));
    for (unsigned i = 0; i < CROWD; i++) {
        assert_non_null(hf_dialer_start(loop, &how, on_done, NULL));
    }
    while (done < CROWD) {
        (void)hf_epoll_turn(loop, HF_SECONDS(1));
    }
    assert_int_equal(losses[HF_LOSS_OUT_OF_MEMORY], 0);
    assert_int_equal(losses[HF_LOSS_REFUSED], CROWD);
    hf_loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_crowd_that_asks_for_a_name_at_one_instant_is_answered_in_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
