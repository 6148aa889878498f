package render

import (
	"unicode"
	"unicode/utf8"
)

const hexDigits = "0123456789abcdef"

// Safe returns s as it may be shown on a terminal. Control characters (also
// C1), bidirectional overrides, invisible characters and invalid UTF-8 become
// \n, \x1b, \u202e and the like. A backslash stays one: Windows paths are
// common, and the result is for reading, not for parsing. A string with nothing to
// escape is returned itself.
func Safe(s string) string {
	i := unsafeAt(s)
	if i == len(s) {
		return s
	}
	return string(appendSafe(make([]byte, 0, len(s)+16), s))
}

// unsafeAt returns the offset of the first character to escape, or len(s).
func unsafeAt(s string) int {
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			if c < ' ' || c == 0x7f {
				return i
			}
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 || !unicode.IsPrint(r) {
			return i
		}
		i += n
	}
	return len(s)
}

func appendSafe(b []byte, s string) []byte {
	for s != "" {
		i := unsafeAt(s)
		b = append(b, s[:i]...)
		if s = s[i:]; s == "" {
			break
		}
		r, n := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && n == 1 {
			r = rune(s[0])
			b = append(b, '\\', 'x', hexDigits[r>>4], hexDigits[r&15])
		} else {
			b = appendEscape(b, r)
		}
		s = s[n:]
	}
	return b
}

func appendEscape(b []byte, r rune) []byte {
	switch {
	case r == '\n':
		return append(b, '\\', 'n')
	case r == '\t':
		return append(b, '\\', 't')
	case r == '\r':
		return append(b, '\\', 'r')
	case r < 0x80:
		return append(b, '\\', 'x', hexDigits[r>>4], hexDigits[r&15])
	case r < 0x10000:
		return appendHex(append(b, '\\', 'u'), r, 4)
	}
	return appendHex(append(b, '\\', 'U'), r, 8)
}

func appendHex(b []byte, r rune, digits int) []byte {
	for i := digits - 1; i >= 0; i-- {
		b = append(b, hexDigits[r>>(4*i)&15])
	}
	return b
}
