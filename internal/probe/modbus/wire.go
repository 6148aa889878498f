package modbus

import (
	"errors"
	"fmt"

	"github.com/portreporter/portreporter/internal/probe/internal/octets"
)

const (
	transaction = 0x5052
	unit        = 1
	// Read Device Identification (Modbus Application Protocol 1.1b3, section 6.21)
	function = 0x2b
	mei      = 0x0e
	headSize = 7
)

// request asks for the basic identification:
//
//	transaction | protocol 0 | length | unit | function | MEI | basic | object 0
func request() []byte {
	return []byte{transaction >> 8, transaction & 0xff, 0, 0, 0, 5, unit, function, mei, 1, 0}
}

// length reads a header, and says how many bytes follow it.
func length(head []byte) (int, error) {
	r := octets.New(head)
	id, protocol, n := r.U16(), r.U16(), int(r.U16())
	r.Skip(1) // unit; n counts it
	if r.Err() != nil || id != transaction || protocol != 0 || n < 3 || n > 254 {
		return 0, errors.New("no Modbus header")
	}
	return n - 1, nil
}

// object is one fact of an identification.
type object struct{ name, value string }

// parse reads what follows the header: objects, or the code of an exception,
// which is a device's answer too.
func parse(b []byte) (objects []object, exception byte, err error) {
	r := octets.New(b)
	switch r.U8() {
	case function | 0x80:
		if code := r.U8(); code != 0 && r.Err() == nil {
			return nil, code, nil
		}
		return nil, 0, errors.New("no exception of Modbus")
	case function:
	default:
		return nil, 0, errors.New("no answer to Read Device Identification")
	}
	if r.U8() != mei {
		return nil, 0, errors.New("no answer to Read Device Identification")
	}
	r.Skip(4) // code, conformity, more follows, next object
	for range r.U8() {
		id := r.U8()
		value := r.Take(int(r.U8()))
		if r.Err() != nil {
			return nil, 0, r.Err()
		}
		objects = append(objects, object{objectName(id), string(value)})
	}
	return objects, 0, r.Err()
}

func objectName(id byte) string {
	names := []string{"VendorName", "ProductCode", "MajorMinorRevision", "VendorUrl", "ProductName", "ModelName", "UserApplicationName"}
	if int(id) < len(names) {
		return names[id]
	}
	return fmt.Sprintf("object%d", id)
}

// exceptionName names a code (section 7).
func exceptionName(code byte) string {
	names := map[byte]string{1: "ILLEGAL FUNCTION", 2: "ILLEGAL DATA ADDRESS", 3: "ILLEGAL DATA VALUE", 4: "SERVER DEVICE FAILURE", 5: "ACKNOWLEDGE",
		6: "SERVER DEVICE BUSY", 8: "MEMORY PARITY ERROR", 10: "GATEWAY PATH UNAVAILABLE", 11: "GATEWAY TARGET DEVICE FAILED TO RESPOND"}
	if n := names[code]; n != "" {
		return n
	}
	return fmt.Sprintf("exception %d", code)
}
