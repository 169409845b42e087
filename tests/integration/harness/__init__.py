# SPDX-License-Identifier: Apache-2.0
"""What the integration tests stand on: real processes, raw sockets, certificates and tokens."""
