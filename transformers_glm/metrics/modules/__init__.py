# SPDX-License-Identifier: Apache-2.0
"""Metrics of blank infilling, as modules of `evaluate`."""
