package smb

import (
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// answer is a server's, in the layout of MS-SMB2 2.2.4, without the length.
func answer(status uint32, dialect uint16, contexts string) []byte {
	b := make([]byte, headerSize+65)
	copy(b, "\xfeSMB\x40\x00")
	binary.LittleEndian.PutUint32(b[8:], status)
	x := b[headerSize:]
	x[0], x[2] = 65, 3
	binary.LittleEndian.PutUint16(x[4:], dialect)
	copy(x[8:], "0123456789abcdef")
	x[24] = 0x46
	binary.LittleEndian.PutUint32(x[32:], 8<<20)
	binary.LittleEndian.PutUint64(x[40:], 133500000001234567)
	if contexts != "" {
		b = align(b)
		x = b[headerSize:]
		x[6] = 2
		binary.LittleEndian.PutUint32(x[60:], uint32(len(b)))
		b = append(b, contexts...)
	}
	return b
}

const twoContexts = "\x01\x00\x06\x00\x00\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00" + "\x02\x00\x04\x00\x00\x00\x00\x00\x01\x00\x02\x00"

func TestParseNegotiated(t *testing.T) {
	got, err := parseNegotiated(answer(0, dialect311, twoContexts))
	want := negotiated{dialect: dialect311, security: 3, capabilities: 0x46, read: 8 << 20, cipher: 2,
		system: time.Date(2024, 1, 17, 21, 20, 0, 123456700, time.UTC)}
	copy(want.guid[:], "0123456789abcdef")
	if d := cmp.Diff(want, got, cmp.AllowUnexported(negotiated{})); d != "" || err != nil {
		t.Errorf("%v %s", err, d)
	}
	for name, b := range map[string][]byte{
		"nothing": nil, "SMB 1": append([]byte("\xffSMB"), make([]byte, 200)...), "cut": answer(0, dialect300, "")[:100], "header alone": answer(0, 0, "")[:64],
		"a status": answer(0xc00000bb, 0, ""), "another command": append([]byte("\xfeSMB\x40\x00\x00\x00\x00\x00\x00\x00\x01\x00"), make([]byte, 200)...),
	} {
		if n, err := parseNegotiated(b); err == nil {
			t.Errorf("%s: %+v", name, n)
		}
	}
}

// TestRequest reads our own question by its layout.
func TestRequest(t *testing.T) {
	b := negotiateRequest(dialects()...)
	if int(binary.BigEndian.Uint32(b)) != len(b)-4 {
		t.Errorf("length %d of %d", binary.BigEndian.Uint32(b), len(b)-4)
	}
	m := b[4:]
	offset := int(binary.LittleEndian.Uint32(m[headerSize+28:]))
	if offset%8 != 0 || cipher(append(append([]byte{}, m[offset:offset+48]...), "\x02\x00\x04\x00\x00\x00\x00\x00\x01\x00\x04\x00"...), 2) != 4 {
		t.Errorf("contexts at %d: % x", offset, m[offset:])
	}
	if one := negotiateRequest(dialect202); len(one) != 4+headerSize+36+2 {
		t.Errorf("%d bytes for one dialect", len(one))
	}
}

func TestSMB1(t *testing.T) {
	yes := append(append([]byte("\xffSMB\x72"), make([]byte, 27)...), 17, 0, 0)
	no := append(append([]byte("\xffSMB\x72"), make([]byte, 27)...), 1, 0xff, 0xff)
	failed := append([]byte{}, yes...)
	failed[5] = 1
	if !smb1Accepted(yes) || smb1Accepted(no) || smb1Accepted(failed) || smb1Accepted(yes[:34]) || smb1Accepted(nil) {
		t.Error("who accepts SMB 1")
	}
	if b := smb1Request(); int(binary.BigEndian.Uint32(b)) != len(b)-4 || !strings.HasSuffix(string(b), "\x00\x0c\x00\x02NT LM 0.12\x00") {
		t.Errorf("% x", b)
	}
}

func TestWords(t *testing.T) {
	var names []string
	for _, d := range dialects() {
		names = append(names, dialectName(d))
	}
	if got := strings.Join(names, ", "); got != "SMB 3.1.1, SMB 3.0.2, SMB 3.0, SMB 2.1, SMB 2.0.2" {
		t.Error(got)
	}
	if cipherName(0) != "none" || cipherName(4) != "AES-256-GCM" || cipherName(99) != "0x0063" {
		t.Error("names of ciphers")
	}
	if got := strings.Join(capabilityNames(0x46), " "); got != "LEASING LARGE_MTU ENCRYPTION" {
		t.Error(got)
	}
	if got := guid([16]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}); got != "04030201-0605-0807-090a-0b0c0d0e0f10" {
		t.Error(got)
	}
}

// FuzzParseNegotiated: an answer that is understood has its fixed part whole,
// and what follows never changes more than the cipher.
func FuzzParseNegotiated(f *testing.F) {
	f.Add(answer(0, dialect311, twoContexts))
	f.Add(answer(0, dialect202, ""))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := parseNegotiated(b)
		if err != nil {
			return
		}
		if len(b) < headerSize+64 {
			t.Fatalf("understood %d bytes", len(b))
		}
		head, err := parseNegotiated(b[:headerSize+64])
		head.cipher = n.cipher
		if head != n || err != nil {
			t.Errorf("%+v without what follows: %+v, %v", n, head, err)
		}
	})
}

func TestSpelled(t *testing.T) {
	for g, want := range map[string]string{"files": "files", "dc1": "dc1", "": "", "0123456789abcdef": "", "a b": "", "\x01\x02": "", "caf\xc3\xa9": "", "a\x00b": ""} {
		var id [16]byte
		copy(id[:], g)
		if got := spelled(id); got != want {
			t.Errorf("%q spells %q", g, got)
		}
	}
}
