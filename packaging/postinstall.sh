#!/bin/sh
# After installing or upgrading: dpkg calls it "configure [OLD VERSION]", rpm
# with the number of versions that are there now. The service is not started
# by itself: it is for the administrator to say what a machine records.
set -e

if command -v systemd-sysusers >/dev/null 2>&1; then
  systemd-sysusers portreporter.conf
elif ! getent passwd portreporter >/dev/null; then
  useradd --system --user-group --no-create-home --home-dir /var/log/portreporter \
    --shell /usr/sbin/nologin --comment "Port Reporter" portreporter
fi

if [ -d /run/systemd/system ]; then
  systemctl daemon-reload
  if [ "$1" = configure ] && [ -n "$2" ] || [ "$1" = 2 ]; then
    systemctl try-restart portreporter.service
  fi
fi
