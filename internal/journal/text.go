package journal

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// Parquet strings are UTF-8, and readers such as DuckDB refuse a file over one
// bad byte, while paths and arguments may be any bytes. A byte that is no UTF-8
// is written as the private-use character U+10FF00 + byte, and so are the bytes
// of such a character itself: any string comes back as it was.
const (
	escapeFirst = 0x10ff00
	escapeLast  = 0x10ffff
)

// isEscape: U+10FF00..U+10FFFF are not valid except for their last two, which
// are noncharacters yet encodable.
func isEscape(r rune) bool { return r >= escapeFirst && r <= escapeLast }

func toText(s string) string {
	if utf8.ValidString(s) && strings.IndexFunc(s, isEscape) < 0 {
		return s
	}
	var b strings.Builder
	for i, n := 0, 0; i < len(s); i += n {
		var r rune
		r, n = utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 || isEscape(r) {
			n = 1
			b.WriteRune(escapeFirst + rune(s[i]))
			continue
		}
		b.WriteString(s[i : i+n])
	}
	return b.String()
}

func fromText(s string) string {
	if strings.IndexFunc(s, isEscape) < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for _, r := range s {
		if isEscape(r) {
			b = append(b, byte(r-escapeFirst))
			continue
		}
		b = utf8.AppendRune(b, r)
	}
	return string(b)
}

// toJSON encodes values of this package's types, which cannot fail.
func toJSON(v any) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if enc.Encode(v) != nil {
		return ""
	}
	return strings.TrimSuffix(b.String(), "\n")
}
