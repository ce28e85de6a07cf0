package load

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/textproto"
	"strconv"
	"strings"
	"time"

	"github.com/sluiceproxy/sluice/bench"
)

// response is what an HTTP server's response was found to be like.
type response struct {
	size int
	head []byte
}

func httpRequest() string { return "GET / HTTP/1.1\r\nHost: bench\r\n\r\n" }

// learn asks an HTTP server once, so that responses can be told apart by their
// length from then on. Other protocols need not be learnt.
func learn(ctx context.Context, target netip.AddrPort, l bench.Load, patience time.Duration) (response, error) {
	if l.Protocol != bench.HTTP {
		return response{}, nil
	}
	r, err := ask(ctx, target, patience)
	if err != nil {
		return response{}, fmt.Errorf("asking the HTTP server once: %w; is one there?", err)
	}
	return r, nil
}

func ask(ctx context.Context, target netip.AddrPort, patience time.Duration) (response, error) {
	dialer := net.Dialer{Timeout: patience}
	conn, err := dialer.DialContext(ctx, "tcp", target.String())
	if err != nil {
		return response{}, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return response{}, err
	}
	if _, err := io.WriteString(conn, httpRequest()); err != nil {
		return response{}, err
	}
	return parseHTTP(conn)
}

// parseHTTP reads a response with status 200 and a Content-Length (RFC 9112).
func parseHTTP(from io.Reader) (response, error) {
	counted := &counter{from: from}
	buffered := bufio.NewReader(counted)
	text := textproto.NewReader(buffered)
	status, err := text.ReadLine()
	if err != nil {
		return response{}, err
	}
	const ok = "HTTP/1.1 200"
	if !strings.HasPrefix(status, ok) {
		return response{}, fmt.Errorf("the response begins with %q, want %q", status, ok)
	}
	header, err := text.ReadMIMEHeader()
	if err != nil {
		return response{}, err
	}
	length, err := strconv.Atoi(header.Get("Content-Length"))
	if err != nil || length < 0 {
		return response{}, fmt.Errorf("the response has Content-Length %q; the file served must be a static one", header.Get("Content-Length"))
	}
	if strings.EqualFold(header.Get("Connection"), "close") {
		return response{}, fmt.Errorf("the server closes after each response; let it keep connections alive")
	}
	head := counted.n - buffered.Buffered()
	return response{size: head + length, head: []byte(ok)}, nil
}

// counter counts what was read.
type counter struct {
	from io.Reader
	n    int
}

// Read reads and counts.
func (c *counter) Read(b []byte) (int, error) {
	n, err := c.from.Read(b)
	c.n += n
	return n, err
}
