/* SPDX-License-Identifier: Apache-2.0 */
/* The contract of io.h over the simulated io: over a calm network, over a rough one, and with
 * simulated TLS. */
#include "sim_io.h"

#include "io_contract.h"
#include "test_unit.h"

struct context {
    struct sim *sim;
    const char *address; /* port 0 */
};

static struct hf_loop *loop_new(void *context)
{
    return sim_loop_new(((struct context *)context)->sim);
}

static bool turn(void *context, struct hf_loop *loop, hf_time max_wait)
{
    return sim_loop_turn(loop, max_wait);
}

static void address(void *context, struct hf_address *address)
{
    assert_true(hf_address_parse(hf_slice_of(((struct context *)context)->address), address));
}

static void nobody(void *context, struct hf_address *out)
{
    address(context, out);
    out->u.v4.sin_port = htons(9);
}

static size_t open_things(void *context)
{
    struct sim_counts c = sim_count(((struct context *)context)->sim);
    return c.loops + c.streams + c.listeners + c.names;
}

/* Segments are cut, so that what is at least 512 bytes long comes in pieces; small buffers, jitter,
 * losses. */
static enum sim_fate rough(void *context, const struct hf_address *from,
                           const struct hf_address *to, struct sim_path *path)
{
    path->latency = 900;
    path->jitter = 700;
    path->loss_percent = 0;
    path->send_buffer = 210000;
    path->receive_buffer = 66000;
    path->segment_min = 512;
    path->segment_max = 20000;
    return SIM_FATE_LISTENERS;
}

static int run(const char *name, const char *where, bool is_rough, bool tls)
{
    static int nothing; /* stands for a context: the simulator never looks at it */
    struct context context = {sim_new(1), where};
    if (is_rough) {
        struct sim_shaper shaper = {.connect = rough};
        sim_shape(context.sim, &shaper);
    }
    struct io_fixture fixture = {
        .name = name,
        .context = &context,
        .loop_new = loop_new,
        .turn = turn,
        .address = address,
        .nobody = nobody,
        .parcel_drop = sim_parcel_drop,
        .resets = true,
        .counts = true,
        .open_things = open_things,
    };
    if (tls) {
        fixture.server =
            (struct hf_tls_how){.tls = (struct hf_tls *)(void *)&nothing, .server = true};
        fixture.client = (struct hf_tls_how){.tls = (struct hf_tls *)(void *)&nothing};
    }
    int failed = io_contract_run(&fixture);
    sim_free(context.sim);
    return failed;
}

int main(void)
{
    return run("contract: simulated, calm", "127.0.0.1:0", false, false) +
           run("contract: simulated, rough", "[::1]:0", true, false) +
           run("contract: simulated, TLS as a pass-through", "127.0.0.1:0", false, true);
}
