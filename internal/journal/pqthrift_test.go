package journal

import "testing"

func TestThriftSkip(t *testing.T) {
	for name, c := range map[string]struct {
		typ  byte
		b    []byte
		rest int // bytes that are left; -1: an error
	}{
		"true":              {thriftTrue, []byte{9}, 1},
		"byte":              {thriftByte, []byte{1, 9}, 1},
		"number":            {thriftI64, []byte{0x80, 0x80, 1, 9}, 1},
		"double":            {thriftDouble, make([]byte, 9), 1},
		"double cut":        {thriftDouble, make([]byte, 7), -1},
		"text":              {thriftBinary, []byte{2, 'a', 'b', 9}, 1},
		"text cut":          {thriftBinary, []byte{3, 'a', 'b'}, -1},
		"list of truths":    {thriftList, []byte{2<<4 | thriftTrue, 1, 2, 9}, 1},
		"long list":         {thriftSet, append([]byte{15<<4 | thriftByte, 16}, make([]byte, 17)...), 1},
		"list too long":     {thriftList, []byte{15<<4 | thriftByte, 0xff, 0xff, 0xff, 0xff, 0x0f}, -1},
		"empty map":         {thriftMap, []byte{0, 9}, 1},
		"map":               {thriftMap, []byte{1, thriftByte<<4 | thriftBinary, 7, 1, 'x', 9}, 1},
		"map too long":      {thriftMap, []byte{100, 0x33, 1}, -1},
		"structure":         {thriftStruct, []byte{1<<4 | thriftI32, 4, 1<<4 | thriftTrue, 0, 9}, 1},
		"structure, far id": {thriftStruct, []byte{thriftI32, 0x80, 2, 4, 0, 9}, 1},
		"structure cut":     {thriftStruct, []byte{1<<4 | thriftI32}, -1},
		"unknown type":      {14, []byte{1}, -1},
		"too deep":          {thriftStruct, repeated(1<<4|thriftStruct, 100), -1},
		"lists too deep":    {thriftList, repeated(1<<4|thriftList, 100), -1},
	} {
		r := thriftReader{b: c.b}
		r.skip(c.typ)
		if rest := len(r.b); r.bad != (c.rest < 0) || !r.bad && rest != c.rest {
			t.Errorf("%s: %d bytes left, error %v; want %d", name, rest, r.bad, c.rest)
		}
	}
}

func repeated(b byte, n int) []byte {
	bs := make([]byte, n)
	for i := range bs {
		bs[i] = b
	}
	return bs
}
