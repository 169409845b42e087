/* SPDX-License-Identifier: Apache-2.0 */
/* The intrusive list. */
#include "test_unit.h"

#include "base/list.h"

struct item {
    char name;
    struct hf_list node;
};

static void assert_items(const struct hf_list *head, const char *names)
{
    const struct hf_list *n = head->next;
    for (; *names != '\0'; names++, n = n->next) {
        assert_ptr_not_equal(n, head);
        assert_int_equal(HF_CONTAINER(n, struct item, node)->name, *names);
        assert_ptr_equal(n->next->prev, n);
    }
    assert_ptr_equal(n, head);
}

static void nodes_stay_in_the_order_they_were_appended(void **state)
{
    struct hf_list head;
    hf_list_init(&head);
    assert_true(hf_list_empty(&head));
    struct item items[3] = {{.name = 'a'}, {.name = 'b'}, {.name = 'c'}};
    for (int i = 0; i < 3; i++) {
        hf_list_append(&head, &items[i].node);
    }
    assert_false(hf_list_empty(&head));
    assert_items(&head, "abc");
    hf_list_remove(&items[1].node);
    assert_items(&head, "ac");
    hf_list_append(&head, &items[1].node);
    assert_items(&head, "acb");
}

static void removing_a_node_that_is_on_no_list_does_nothing(void **state)
{
    struct hf_list head;
    hf_list_init(&head);
    struct item item = {.name = 'a'};
    hf_list_init(&item.node);
    hf_list_remove(&item.node);
    hf_list_append(&head, &item.node);
    hf_list_remove(&item.node);
    hf_list_remove(&item.node);
    assert_true(hf_list_empty(&head));
    assert_true(hf_list_empty(&item.node));
}

static void a_splice_moves_all_nodes_behind_those_already_there(void **state)
{
    struct hf_list to, from;
    hf_list_init(&to);
    hf_list_init(&from);
    struct item items[4] = {{.name = 'a'}, {.name = 'b'}, {.name = 'c'}, {.name = 'd'}};
    hf_list_splice(&to, &from);
    assert_items(&to, "");
    hf_list_append(&from, &items[0].node);
    hf_list_append(&from, &items[1].node);
    hf_list_splice(&to, &from);
    assert_items(&to, "ab");
    assert_items(&from, "");
    hf_list_append(&from, &items[2].node);
    hf_list_append(&from, &items[3].node);
    hf_list_splice(&to, &from);
    assert_items(&to, "abcd");
    assert_items(&from, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nodes_stay_in_the_order_they_were_appended),
        cmocka_unit_test(removing_a_node_that_is_on_no_list_does_nothing),
        cmocka_unit_test(a_splice_moves_all_nodes_behind_those_already_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
