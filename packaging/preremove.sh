#!/bin/sh
# Before removing, not before upgrading: dpkg says "remove", rpm 0.
set -e
if [ -d /run/systemd/system ] && { [ "$1" = remove ] || [ "$1" = 0 ]; }; then
  systemctl disable --now portreporter.service
fi
