/* SPDX-License-Identifier: Apache-2.0 */
/* The commands. Each takes the words behind its name and returns the process's exit code: 0 as
 * wished, 1 a finding or a failure, 2 a mistake in the words or the configuration (connect: 3, no
 * connection). */
#ifndef HF_TOOLS_TOOLS_H
#define HF_TOOLS_TOOLS_H

int hf_tool_causes(int argc, char **argv);
int hf_tool_chaos(int argc, char **argv);
int hf_tool_bench(int argc, char **argv);
int hf_tool_connect(int argc, char **argv);
int hf_tool_probe(int argc, char **argv);
int hf_tool_diagnose(int argc, char **argv);
int hf_tool_serve(int argc, char **argv);
int hf_tool_demo(int argc, char **argv);
int hf_tool_watch(int argc, char **argv);
int hf_tool_lint(int argc, char **argv);
int hf_tool_logs(int argc, char **argv);

#endif
