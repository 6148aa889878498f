#!/bin/sh
# After removing. The record stays, and so does its user, to whom it belongs;
# dpkg's "purge" takes the record too, as Debian's policy wants of logs.
set -e
if [ "$1" = purge ]; then
  rm -rf /var/log/portreporter /etc/portreporter
fi
if [ -d /run/systemd/system ]; then
  systemctl daemon-reload
fi
