package inspect

import (
	"bytes"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/internal/conformance"
)

type httpCase struct {
	name     string
	text     string
	state    State
	protocol string
}

func TestHTTP(t *testing.T) {
	cases := []httpCase{
		{"nothing", "", More, ""},
		{"HTTP/1.1", "GET / HTTP/1.1\r\nhost: a\r\n", Done, HTTP11},
		{"bare LF", "GET / HTTP/1.1\n", Done, HTTP11},
		{"HTTP/1.0", "HEAD /x HTTP/1.0\r\n", Done, HTTP10},
		{"no version", "GET /\r\n", Done, HTTP10},
		{"no version, bare LF", "GET /\n", Done, HTTP10},
		{"HTTP/2.0 without the preface", "GET / HTTP/2.0\r\n", Done, HTTP10},
		{"HTTP/2.1", "GET / HTTP/2.1\r\n", Done, HTTP10},
		{"absolute", "GET http://u:p@a.example:80/x?y#z HTTP/1.1\r\n", Done, HTTP11},
		{"asterisk", "OPTIONS * HTTP/1.1\r\n", Done, HTTP11},
		{"authority", "CONNECT a.example:443 HTTP/1.1\r\n", Done, HTTP11},
		{"IPv6 authority", "CONNECT [::1]:443 HTTP/1.1\r\n", Done, HTTP11},
		{"spaces", "GET   /   HTTP/1.1\r\n", Done, HTTP11},
		{"long method", "UNSUBSCRIBE / HTTP/1.1\r\n", Done, HTTP11},
		{"preface", http2Preface + "more", Done, H2C},

		{"beginning of a method", "UNSUB", More, ""},
		{"method and space", "GET ", More, ""},
		{"beginning of a scheme", "GET htt", More, ""},
		{"version without end", "GET / HTTP/1.1", More, ""},
		{"CR only", "GET / HTTP/1.1\r", More, ""},
		{"beginning of the preface", http2Preface[:23], More, ""},

		{"TLS", "\x16\x03\x01", Foreign, ""},
		{"small letters", "get / HTTP/1.1\r\n", Foreign, ""},
		{"method alone", "GET\r\n", Foreign, ""},
		{"longer than a method", "GETS", Foreign, ""},
		{"unknown method", "FETCH", Foreign, ""},
		{"tab", "GET\t/ HTTP/1.1\r\n", Foreign, ""},
		{"line end first", "\r\nGET / HTTP/1.1\r\n", Foreign, ""},
		{"no target", "GET \r\n", Foreign, ""},
		{"relative target", "GET ?x HTTP/1.1\r\n", Foreign, ""},
		{"scheme alone", "GET http HTTP/1.1\r\n", Foreign, ""},
		{"scheme without host", "GET http:// HTTP/1.1\r\n", Foreign, ""},
		{"two at", "CONNECT a@@b HTTP/1.1\r\n", Foreign, ""},
		{"path behind CONNECT", "CONNECT \"/\" HTTP/1.1\r\n", Foreign, ""},
		{"control byte", "GET /\x01", Foreign, ""},
		{"DEL", "GET /\x7f", Foreign, ""},
		{"not ASCII", "GET /\xc3\xa4", Foreign, ""},
		{"NUL", "GET /\x00 HTTP/1.1\r\n", Foreign, ""},
		{"another protocol", "GET / RTSP/1.0\r\n", Foreign, ""},
		{"version with letters", "GET / HTTP/1.x\r\n", Foreign, ""},
		{"version of two digits", "GET / HTTP/1.10\r\n", Foreign, ""},
		{"CR without LF", "GET / HTTP/1.1\rx", Foreign, ""},
		{"preface that turns", http2Preface[:23] + "x", Foreign, ""},
		{"preface's first line", "PRI / HTTP/1.1\r\n", Foreign, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var protocol string
			v := feed(t, []byte(c.text), limit, func(b []byte) (v Verdict) {
				protocol, v = HTTP(b, limit)
				return v
			})
			if v.State != c.state || protocol != c.protocol {
				t.Errorf("%q: %+v %q, want %s %q", c.text, v, protocol, c.state, c.protocol)
			}
			if end := strings.IndexByte(c.text, '\n') + 1; v.State == Done && protocol != H2C && v.Bytes != end {
				t.Errorf("%q: took %d, want %d", c.text, v.Bytes, end)
			}
		})
	}
}

func TestHTTPLimit(t *testing.T) {
	line := []byte("GET /0123456789 HTTP/1.1\r\n")
	for limit := range len(line) + 2 {
		v := feed(t, line, limit, func(b []byte) Verdict { _, v := HTTP(b, limit); return v })
		if want := limit >= len(line); (v.State == Done) != want || !want && v.Reason != TooLarge {
			t.Fatalf("limit %d of %d: %+v", limit, len(line), v)
		}
	}
}

// httpConformance is a case of testdata/conformance/http_inspector.json.
type httpConformance struct {
	ID       string  `json:"id"`
	Test     string  `json:"source_test"`
	Delivery string  `json:"delivery"`
	Expect   string  `json:"expect"`
	Hex      string  `json:"bytes_hex"`
	Build    [][]any `json:"bytes_build"`
}

func (c *httpConformance) bytes(t *testing.T) []byte {
	b := unhex(t, c.Hex)
	for _, part := range c.Build {
		if text := part[1].(string); part[0] == "repeat" {
			b = append(b, strings.Repeat(text, int(part[2].(float64)))...)
		} else {
			b = append(b, text...)
		}
	}
	return b
}

// TestHTTPConformance is how Envoy decides. That nothing is looked for behind
// TLS ("skipped") is up to the listener.
func TestHTTPConformance(t *testing.T) {
	decide := func(b []byte) string {
		protocol, v := HTTP(b, limit)
		switch {
		case v.State == Done:
			return protocol
		case v.State == Foreign:
			return "not_http"
		case v.Reason == TooLarge:
			return "close_read_error"
		}
		return v.State.String()
	}
	for _, c := range conformance.Cases[httpConformance](t, "testdata/conformance/http_inspector.json") {
		t.Run(c.ID+" "+c.Test, func(t *testing.T) {
			if c.Expect == "skipped" {
				return
			}
			stream := c.bytes(t)
			if got := decide(stream); got != c.Expect {
				t.Errorf("%s, want %s", got, c.Expect)
			}
			if len(stream) < 10000 {
				feed(t, stream, limit, func(b []byte) Verdict { _, v := HTTP(b, limit); return v })
			}
		})
	}
}

func FuzzHTTP(f *testing.F) {
	f.Add([]byte("GET http://a@b/x HTTP/1.1\r\n"), uint16(100))
	f.Add([]byte("CONNECT a:1 HTTP/1.0\n"), uint16(20))
	f.Add([]byte(http2Preface), uint16(24))
	f.Add([]byte("GET  x://a@b@@/x HTTP/2.1\r\n"), uint16(100))
	f.Add([]byte("UNSUBSCRIBE *   HTTP/1.9\r\n"), uint16(100))
	f.Add([]byte("GET /x\r\n"), uint16(100))
	f.Fuzz(func(t *testing.T, stream []byte, limit uint16) {
		if len(stream) > 2<<10 {
			stream = stream[:2<<10]
		}
		var line RequestLine
		v := feed(t, stream, int(limit), func(b []byte) Verdict {
			protocol, v := HTTP(b, int(limit))
			if (protocol != "") != (v.State == Done) {
				t.Fatalf("%q and %+v", protocol, v)
			}
			if want, wantV := referenceHTTP(b, int(limit)); protocol != want || v != wantV {
				t.Fatalf("%q: %q %+v, want %q %+v", b, protocol, v, want, wantV)
			}
			if last, lastV := line.Parse(b, int(limit)); last != protocol || lastV != v {
				t.Fatalf("%q in single bytes: %q %+v, at once %q %+v", b, last, lastV, protocol, v)
			}
			return v
		})
		if v.State == Done && v.Bytes != len(http2Preface) && v.Bytes != bytes.IndexByte(stream, '\n')+1 {
			t.Errorf("took %d of %q", v.Bytes, stream)
		}
	})
}
