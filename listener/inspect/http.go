package inspect

// The application protocols that HTTP finds, named as in a filter chain's
// application_protocols.
const (
	HTTP10 = "http/1.0"
	HTTP11 = "http/1.1"
	H2C    = "h2c"
)

// http2Preface begins each HTTP/2 connection without TLS: RFC 9113, 3.4.
const http2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// HTTP finds out which HTTP a stream speaks, from its request line or from the
// preface of HTTP/2; the name is "" unless it is Done. Whatever is in the line
// of HTTP/1 but 1.1, such as HTTP/0.9 or no version at all, is called
// http/1.0.
//
// It decides like Envoy's http_inspector with its parser http_parser: the
// method must be one of a list, so that a stream of another protocol is
// Foreign at its first bytes, and the target may hold visible ASCII only. A
// line without end within limit bytes is Malformed (TooLarge); Envoy's limit
// is 64 KiB, and it closes then.
func HTTP(prefix []byte, limit int) (string, Verdict) {
	var line RequestLine
	return line.Parse(prefix, limit)
}

// methods are those that http_parser 2.9 knows.
func methods() [34]string {
	return [...]string{
		"ACL", "BIND", "CHECKOUT", "CONNECT", "COPY", "DELETE", "GET", "HEAD", "LINK", "LOCK",
		"M-SEARCH", "MERGE", "MKACTIVITY", "MKCALENDAR", "MKCOL", "MOVE", "NOTIFY", "OPTIONS",
		"PATCH", "POST", "PROPFIND", "PROPPATCH", "PURGE", "PUT", "REBIND", "REPORT", "SEARCH",
		"SOURCE", "SUBSCRIBE", "TRACE", "UNBIND", "UNLINK", "UNLOCK", "UNSUBSCRIBE",
	}
}
