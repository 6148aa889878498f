package proc

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
)

// DefaultHashLimit is the largest program that is hashed unless the caller says
// otherwise, in bytes. The largest single binaries in use (browsers, language
// servers, bundled runtimes) stay under half of it.
const DefaultHashLimit = 512 << 20

// ErrTooBig says that a file is larger than the limit of the read.
var ErrTooBig = errors.New("file is larger than the limit")

// Hash returns the SHA-256 of what r gives, in lower-case hex. It ends early
// with the context's error, or with ErrTooBig after limit bytes (0 is
// DefaultHashLimit). It holds 64 KiB.
func Hash(ctx context.Context, r io.Reader, limit int64) (string, error) {
	if limit <= 0 {
		limit = DefaultHashLimit
	}
	sum, buf, total := sha256.New(), make([]byte, 64<<10), int64(0)
	for {
		if err := ctx.Err(); err != nil {
			return "", fmt.Errorf("hash: %w", err)
		}
		n, err := r.Read(buf)
		if total += int64(n); total > limit {
			return "", fmt.Errorf("hash: %w of %d bytes", ErrTooBig, limit)
		}
		sum.Write(buf[:n])
		if err == io.EOF {
			return hex.EncodeToString(sum.Sum(nil)), nil
		}
		if err != nil {
			return "", fmt.Errorf("hash: %w", err)
		}
	}
}
