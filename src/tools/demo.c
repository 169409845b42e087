/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/tools.h"
#include <stdio.h>
int hf_tool_demo(int argc, char **argv)
{
    fputs("holdfast demo: not built yet\n", stderr);
    return 1;
}
