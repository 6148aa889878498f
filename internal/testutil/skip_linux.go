package testutil

import "os"

const onLinux = true

func privileged() bool { return os.Geteuid() == 0 }
