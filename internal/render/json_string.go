package render

import (
	"unicode"
	"unicode/utf8"
)

// appendString appends s as a JSON string (RFC 8259 section 7). What could act
// on a terminal is escaped too: it reads back the same.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= ' ' && c != '"' && c != '\\' && c != 0x7f {
				i++
				continue
			}
			b = append(b, s[start:i]...)
			b = appendJSONEscape(b, rune(c))
			i++
			start = i
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if (r != utf8.RuneError || n > 1) && unicode.IsPrint(r) {
			i += n
			continue
		}
		b = append(b, s[start:i]...)
		b = appendJSONEscape(b, r) // invalid bytes decode as U+FFFD
		i += n
		start = i
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}

func appendJSONEscape(b []byte, r rune) []byte {
	switch r {
	case '"', '\\':
		return append(b, '\\', byte(r))
	case '\n':
		return append(b, '\\', 'n')
	case '\t':
		return append(b, '\\', 't')
	case '\r':
		return append(b, '\\', 'r')
	}
	if r >= 0x10000 { // a surrogate pair
		r -= 0x10000
		b = appendHex(append(b, '\\', 'u'), 0xd800+r>>10, 4)
		r = 0xdc00 + r&0x3ff
	}
	return appendHex(append(b, '\\', 'u'), r, 4)
}
