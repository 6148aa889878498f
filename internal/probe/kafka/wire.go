package kafka

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strconv"

	"github.com/portreporter/portreporter/internal/probe/internal/octets"
)

// Keys of requests (Kafka's protocol guide, "Protocol API Keys").
const (
	keyMetadata    = 3
	keyAPIVersions = 18

	maxMessage = 60 << 10
	clientID   = "portreporter"
)

// request is a message with header version 1:
//
//	size | key | version | correlation | client id | body
func request(key, version uint16, correlation uint32, body ...byte) []byte {
	b := binary.BigEndian.AppendUint16(make([]byte, 4), key)
	b = binary.BigEndian.AppendUint16(b, version)
	b = binary.BigEndian.AppendUint32(b, correlation)
	b = binary.BigEndian.AppendUint16(b, uint16(len(clientID)))
	b = append(append(b, clientID...), body...)
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

// versionsRequest asks which requests the broker knows, in the version that
// every one of them answers.
func versionsRequest(correlation uint32) []byte { return request(keyAPIVersions, 0, correlation) }

// metadataRequest asks for the brokers, and for no topic.
func metadataRequest(correlation uint32) []byte {
	return request(keyMetadata, 1, correlation, 0, 0, 0, 0)
}

// length reads a message's size.
func length(head []byte) (int, error) {
	n := octets.New(head).U32()
	if n < 6 || n > maxMessage {
		return 0, errors.New("no answer of Kafka")
	}
	return int(n), nil
}

// api is a request that a broker knows, and in which versions.
type api struct{ key, min, max int16 }

// parseVersions reads an ApiVersions response of version 0, after its size.
func parseVersions(b []byte, correlation uint32) ([]api, error) {
	r := octets.New(b)
	id, code, n := r.U32(), int16(r.U16()), int(int32(r.U32()))
	if r.Err() != nil || id != correlation {
		return nil, errors.New("no answer to ApiVersions")
	}
	if code != 0 {
		return nil, fmt.Errorf("error %d", code)
	}
	if n < 1 || n*6 != r.Len() {
		return nil, errors.New("ApiVersions of another length")
	}
	apis := make([]api, 0, n)
	for range n {
		a := api{int16(r.U16()), int16(r.U16()), int16(r.U16())}
		if a.key < 0 || a.min < 0 || a.max < a.min {
			return nil, fmt.Errorf("versions %d to %d of request %d", a.min, a.max, a.key)
		}
		apis = append(apis, a)
	}
	return apis, nil
}

// cluster is what Metadata tells: where the brokers say that they are, which is
// where clients go next, and which of them is the controller.
type cluster struct {
	brokers    []string // "1 at kafka.example:9092, rack r1"
	controller int32
}

// parseMetadata reads a Metadata response of version 1, after its size.
func parseMetadata(b []byte, correlation uint32) (cluster, error) {
	r := octets.New(b)
	if r.U32() != correlation {
		return cluster{}, errors.New("no answer to Metadata")
	}
	var c cluster
	for n := int(int32(r.U32())); n > 0; n-- {
		id := int32(r.U32())
		host := string(r.Take(int(r.U16())))
		port := int32(r.U32())
		broker := fmt.Sprintf("%d at %s", id, net.JoinHostPort(host, strconv.Itoa(int(port))))
		if size := int16(r.U16()); size > 0 {
			broker += ", rack " + string(r.Take(int(size)))
		}
		if r.Err() != nil {
			return cluster{}, r.Err()
		}
		c.brokers = append(c.brokers, broker)
	}
	c.controller = int32(r.U32())
	return c, r.Err()
}
