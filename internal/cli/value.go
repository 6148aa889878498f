package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The kinds of value that a setting can have. Each is a pflag.Value over a
// field of Config, so that file, environment and flags are checked by the same
// code and say the same about a mistake.

// textValue is any text on one line.
type textValue struct {
	to     *string
	needed bool // "" is refused
}

func (v *textValue) String() string { return str(v.to) }
func (v *textValue) Type() string   { return "text" }

func (v *textValue) Set(s string) error {
	if v.needed && s == "" {
		return errors.New("it can't be empty")
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' }) {
		return fmt.Errorf("%q holds a control character", s)
	}
	*v.to = s
	return nil
}

// listValue is a list of texts, written as JSON does, which is TOML's way too.
// It is kept as that text, "" for none, so that a Config can be compared.
type listValue struct{ to *string }

func (v *listValue) String() string { return str(v.to) }
func (v *listValue) Type() string   { return "list" }

func (v *listValue) Set(s string) error {
	list, err := texts(s)
	if err != nil {
		return err
	}
	for i := range list {
		if err := (&textValue{&list[i], false}).Set(list[i]); err != nil {
			return err
		}
	}
	if *v.to = s; len(list) == 0 {
		*v.to = ""
	}
	return nil
}

// texts reads what a listValue holds.
func texts(s string) (list []string, err error) {
	if s != "" && json.Unmarshal([]byte(s), &list) != nil {
		return nil, fmt.Errorf(`%q is no list of texts: want one as ["one", "two"]`, s)
	}
	return list, nil
}

// choiceValue is one of a few words.
type choiceValue struct {
	to *string
	of []string
}

func (v *choiceValue) String() string  { return str(v.to) }
func (v *choiceValue) Type() string    { return "word" }
func (v *choiceValue) words() []string { return v.of }

func (v *choiceValue) Set(s string) error {
	if !slices.Contains(v.of, s) {
		return unknownWord(s, v.of)
	}
	*v.to = s
	return nil
}

func unknownWord(s string, of []string) error {
	return fmt.Errorf("unknown value %q: one of %s%s", s, strings.Join(of, ", "), didYouMean(s, "", of))
}

// boolValue is true or false, and no other spelling: TOML has no other.
type boolValue struct{ to *bool }

func (v *boolValue) Type() string { return "bool" }

func (v *boolValue) String() string {
	if v.to == nil {
		return ""
	}
	return strconv.FormatBool(*v.to)
}

func (v *boolValue) Set(s string) error {
	if s != "true" && s != "false" {
		return fmt.Errorf("%q is neither true nor false", s)
	}
	*v.to = s == "true"
	return nil
}

// numberValue is a whole number between two limits.
type numberValue struct {
	to       *int
	min, max int
}

func (v *numberValue) Type() string { return "number" }

func (v *numberValue) String() string {
	if v.to == nil {
		return ""
	}
	return strconv.Itoa(*v.to)
}

func (v *numberValue) Set(s string) error {
	n, err := strconv.Atoi(strings.ReplaceAll(s, "_", ""))
	if err != nil {
		return fmt.Errorf("%q is not a whole number", s)
	}
	if n < v.min || n > v.max {
		return fmt.Errorf("%d is not between %d and %d", n, v.min, v.max)
	}
	*v.to = n
	return nil
}

// sizeValue is a number of bytes, with or without a unit.
type sizeValue struct {
	to       *int64
	min, max int64
}

func (v *sizeValue) Type() string { return "size" }

func (v *sizeValue) String() string {
	if v.to == nil {
		return ""
	}
	return formatSize(*v.to)
}

func (v *sizeValue) Set(s string) error {
	n, err := parseSize(s)
	if err != nil {
		return err
	}
	if n < v.min || n > v.max {
		return fmt.Errorf("%s is not between %s and %s", s, formatSize(v.min), formatSize(v.max))
	}
	*v.to = n
	return nil
}

// powerValue is a size that is a power of two, as the kernel wants its rings.
type powerValue struct {
	to       *int
	min, max int64
}

func (v *powerValue) Type() string { return "size" }

func (v *powerValue) String() string {
	if v.to == nil {
		return ""
	}
	return formatSize(int64(*v.to))
}

func (v *powerValue) Set(s string) error {
	var n int64
	if err := (&sizeValue{&n, v.min, v.max}).Set(s); err != nil {
		return err
	}
	if bits.OnesCount64(uint64(n)) != 1 {
		return fmt.Errorf("%s is not a power of two; the next is %s", s, formatSize(1<<bits.Len64(uint64(n))))
	}
	*v.to = int(n)
	return nil
}

// durationValue is a time such as 500ms, 1s or 2m; 0 needs no unit.
type durationValue struct {
	to  *time.Duration
	max time.Duration
}

func (v *durationValue) Type() string { return "time" }

func (v *durationValue) String() string {
	if v.to == nil {
		return ""
	}
	return v.to.String()
}

func (v *durationValue) Set(s string) error {
	d, err := time.ParseDuration(s)
	if err != nil {
		return fmt.Errorf("%q is not a time such as 500ms, 1s or 2m", s)
	}
	if d < 0 || d > v.max {
		return fmt.Errorf("%s is not between 0s and %s", s, v.max)
	}
	*v.to = d
	return nil
}

// levelValue is a level of our own log.
type levelValue struct{ to *slog.Level }

func (v *levelValue) Type() string    { return "word" }
func (v *levelValue) words() []string { return []string{"debug", "info", "warn", "error"} }

func (v *levelValue) String() string {
	if v.to == nil {
		return ""
	}
	return strings.ToLower(v.to.String())
}

func (v *levelValue) Set(s string) error {
	if !slices.Contains(v.words(), s) {
		return unknownWord(s, v.words())
	}
	return v.to.UnmarshalText([]byte(s))
}

// units of sizes, the largest first, and the bare B last, with which others end. KiB and its like, the bare letters (as in dd and systemd)
// are powers of 1024; KB and its like are powers of 1000 (IEC 80000-13).
func units() []sizeUnit {
	return []sizeUnit{
		{"TiB", 1 << 40}, {"TB", 1e12}, {"GiB", 1 << 30}, {"GB", 1e9},
		{"MiB", 1 << 20}, {"MB", 1e6}, {"KiB", 1 << 10}, {"KB", 1e3},
		{"T", 1 << 40}, {"G", 1 << 30}, {"M", 1 << 20}, {"K", 1 << 10}, {"B", 1},
	}
}

type sizeUnit struct {
	name string
	size int64 // bytes
}

// parseSize reads a number of bytes such as 4096, 10GB or 8MiB.
func parseSize(s string) (int64, error) {
	bad := fmt.Errorf("%q is not a size such as 4096, 10GB or 8MiB", s)
	digits, factor := strings.ReplaceAll(s, "_", ""), int64(1)
	for _, u := range units() {
		if n := len(digits) - len(u.name); n > 0 && strings.EqualFold(digits[n:], u.name) {
			digits, factor = strings.TrimRight(digits[:n], " "), u.size
			break
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 {
		return 0, bad
	}
	if hi, lo := bits.Mul64(uint64(n), uint64(factor)); hi != 0 || lo > 1<<62 {
		return 0, bad
	}
	return n * factor, nil
}

// formatSize writes n so that parseSize reads the same number back.
func formatSize(n int64) string {
	for _, u := range units() {
		if len(u.name) > 1 && n != 0 && n%u.size == 0 {
			return strconv.FormatInt(n/u.size, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10)
}

// str is for pflag, which asks the zero value for its text.
func str(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
