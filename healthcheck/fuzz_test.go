package healthcheck

import (
	"bufio"
	"bytes"
	"net/http"
	"testing"

	"github.com/sluiceproxy/sluice/config"
)

// outcome is what counts of a result.
type outcome struct {
	failure  Failure
	degraded bool
	done     bool
}

// feed gives an exchange data in pieces, as a session does, up to a result.
func feed(t *testing.T, e exchange, data []byte, piece int) outcome {
	var unread []byte
	e.begin(nil)
	for len(data) > 0 {
		n := min(piece, len(data))
		unread, data = append(unread, data[:n]...), data[n:]
		used, r := e.take(unread)
		if used < 0 || used > len(unread) {
			t.Fatalf("%d of %d bytes used", used, len(unread))
		}
		if r.done {
			if r.failure != NoFailure && r.reason == "" {
				t.Error("a failure without a reason")
			}
			return outcome{r.failure, r.degraded, true}
		}
		if unread = unread[used:]; len(unread) > maxUnread {
			t.Fatalf("%d bytes are left unread", len(unread))
		}
	}
	return outcome{}
}

// Whatever comes is judged the same in whatever pieces it comes, and by the
// status that net/http finds.
func FuzzHTTP(f *testing.F) {
	for _, text := range []string{
		good, bad, degraded, "HTTP/1.1 100 a\r\n\r\n" + good, "HTTP/1.0 200\n\n", "HTTP/1.1 204 x\r\nContent-Length: 9\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "SSH-2.0\r\n", "HTTP/1.1 200 OK\r\n :\r\n\r\n",
	} {
		f.Add([]byte(text))
	}
	c := config.DefaultHealthCheck()
	c.Type = config.HealthCheckHTTP
	compiled := compile(&c)
	f.Fuzz(func(t *testing.T, data []byte) {
		whole := feed(t, newExchange(compiled, "a"), data, 1<<10)
		if pieces := feed(t, newExchange(compiled, "a"), data, 1); pieces != whole {
			t.Errorf("in one piece %+v, in many %+v", whole, pieces)
		}
		response, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(data)), nil)
		if err != nil || response.StatusCode < 200 || !whole.done {
			return
		}
		if whole.failure == NoFailure && response.StatusCode != 200 || whole.failure == Active && response.StatusCode == 200 {
			t.Errorf("%+v, and net/http finds status %d", whole, response.StatusCode)
		}
	})
}

func FuzzGRPC(f *testing.F) {
	f.Add(goodAnswer(1))
	f.Add(frames(appendFrame(nil, frameSettings, 0, 0, make([]byte, 6)), appendFrame(nil, frameGoAway, 0, 0, make([]byte, 8))))
	f.Add([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		whole := feed(t, newGRPCExchange("", "a"), data, 1<<10)
		if pieces := feed(t, newGRPCExchange("", "a"), data, 1); pieces != whole {
			t.Errorf("in one piece %+v, in many %+v", whole, pieces)
		}
	})
}

func FuzzTCP(f *testing.F) {
	f.Add([]byte("..ab..cd"))
	c := config.DefaultHealthCheck()
	c.Type, c.TCP.Receive = config.HealthCheckTCP, []string{"6162", "6364"}
	compiled := compile(&c)
	f.Fuzz(func(t *testing.T, data []byte) {
		whole := feed(t, newExchange(compiled, "a"), data, 1<<10)
		if pieces := feed(t, newExchange(compiled, "a"), data, 1); pieces != whole {
			t.Errorf("in one piece %+v, in many %+v", whole, pieces)
		}
		first := bytes.Index(data, []byte("ab"))
		if want := first >= 0 && bytes.Contains(data[first+2:], []byte("cd")); want != whole.done {
			t.Errorf("done is %v, want %v", whole.done, want)
		}
	})
}
