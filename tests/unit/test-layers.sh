#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
exec sh "${SCITRACE_SOURCE:-.}/build-aux/check-layers"
