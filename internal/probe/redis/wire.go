package redis

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// request is both questions and the farewell in RESP, Redis's protocol: arrays
// of bulk strings, which all versions take.
func request() []byte {
	return []byte("*1\r\n$4\r\nPING\r\n*2\r\n$4\r\nINFO\r\n$6\r\nserver\r\n*1\r\n$4\r\nQUIT\r\n")
}

const maxBulk = 32 << 10

// bulkLength reads the length of a bulk string's line, -1 for the null one.
func bulkLength(line string) (int, error) {
	n, err := strconv.Atoi(line)
	if err != nil || n < -1 || n > maxBulk {
		return 0, fmt.Errorf("a string of length %q", line)
	}
	return n, nil
}

// refusal reads an error line: its code and text, such as NOAUTH, DENIED, ERR.
func refusal(line string) (code, text string, err error) {
	rest, ok := strings.CutPrefix(line, "-")
	if !ok {
		return "", "", errors.New("not an error of Redis")
	}
	code, text, _ = strings.Cut(rest, " ")
	if code == "" || strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") != "" {
		return "", "", errors.New("not an error of Redis")
	}
	return code, text, nil
}

// pair is one line of INFO.
type pair struct{ name, value string }

// info reads the lines of INFO: "name:value", and headings that begin with #.
func info(text string) (pairs []pair) {
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), ":")
		if ok && name != "" && !strings.HasPrefix(name, "#") {
			pairs = append(pairs, pair{name, value})
		}
	}
	return pairs
}
