package cli

import (
	"bufio"
	"io"
	"os"
	"strconv"
	"strings"
)

// servicePort looks a name up in the machine's services file (services(5)).
func servicePort(name string) (uint16, bool) {
	f, err := os.Open(servicesFile())
	if err != nil {
		return 0, false
	}
	defer f.Close()
	return findService(f, name)
}

func findService(r io.Reader, name string) (uint16, bool) {
	for sc := bufio.NewScanner(io.LimitReader(r, 4<<20)); sc.Scan(); {
		line, _, _ := strings.Cut(sc.Text(), "#")
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		for i, n := range f {
			if i != 1 && n == name {
				port, _, _ := strings.Cut(f[1], "/")
				if v, err := strconv.ParseUint(port, 10, 16); err == nil {
					return uint16(v), true
				}
			}
		}
	}
	return 0, false
}
