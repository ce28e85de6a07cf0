// Package inspect finds out what a connection is from its first bytes: whether
// it begins with a PROXY protocol header, with a TLS ClientHello, or with a
// HTTP request, and what those say.
//
//	var hello inspect.Hello
//	switch v := hello.Parse(peeked, 64<<10); v.State {
//	case inspect.More:      // peek again when v.Bytes are there
//	case inspect.Done:      // hello.ServerName, hello.Protocols, ...
//	case inspect.Foreign:   // it is not TLS
//	case inspect.Malformed: // it began as TLS; v.Reason says what is wrong
//	}
//
// The parsers are functions of the bytes alone. They know no sockets, and each
// call gets everything that was peeked from the stream's beginning. Records and
// RequestLine keep how far they have read, so that a stream in single bytes is not
// read again for each of them; the answer is the same without. An answer other than More stays the same however many
// bytes follow. They allocate nothing, except for a ClientHello in more than
// one record; what they return are sub-slices of the bytes that they were
// given, valid as long as those are.
package inspect
