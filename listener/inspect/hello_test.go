package inspect

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
)

// helloSpec makes a ClientHello, right or wrong.
type helloSpec struct {
	version      uint16
	session      []byte
	ciphers      []uint16
	compressions []byte
	extensions   []extension
	trailing     []byte // behind the extensions
	lie          int    // added to the length of the extensions
}

type extension struct {
	kind uint16
	body []byte
}

// typical is a ClientHello of TLS 1.3.
func typical(extensions ...extension) helloSpec {
	return helloSpec{version: 0x0303, ciphers: []uint16{0x1301, 0xc02b}, compressions: []byte{0}, extensions: extensions}
}

// message is the handshake message.
func (s helloSpec) message() []byte {
	b := binary.BigEndian.AppendUint16(nil, s.version)
	b = append(b, make([]byte, 32)...)
	b = append(append(b, byte(len(s.session))), s.session...)
	b = append(b, list(s.ciphers...)...)
	b = append(append(b, byte(len(s.compressions))), s.compressions...)
	var all []byte
	for _, e := range s.extensions {
		all = binary.BigEndian.AppendUint16(all, e.kind)
		all = append(all, prefixed(e.body)...)
	}
	if s.extensions != nil {
		b = binary.BigEndian.AppendUint16(b, uint16(len(all)+s.lie))
	}
	b = append(append(b, all...), s.trailing...)
	return append([]byte{typeClientHello, byte(len(b) >> 16), byte(len(b) >> 8), byte(len(b))}, b...)
}

// stream is the ClientHello in one record.
func (s helloSpec) stream() []byte { return records(s.message(), maxRecord) }

// records puts a message into records of a size.
func records(message []byte, size int) []byte {
	var out []byte
	for len(message) > 0 {
		n := min(size, len(message))
		out = append(out, typeHandshake, 3, 1)
		out = append(out, prefixed(message[:n])...)
		message = message[n:]
	}
	return out
}

// prefixed puts the length of b in two bytes before it.
func prefixed(b []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...)
}

// list is a list of values with its length in bytes before it.
func list(values ...uint16) []byte {
	var b []byte
	for _, v := range values {
		b = binary.BigEndian.AppendUint16(b, v)
	}
	return prefixed(b)
}

// named is a server_name extension.
func named(name string) extension {
	return extension{extServerName, prefixed(append([]byte{0}, prefixed([]byte(name))...))}
}

// offering is an ALPN extension.
func offering(names ...string) extension {
	var b []byte
	for _, name := range names {
		b = append(append(b, byte(len(name))), name...)
	}
	return extension{extALPN, prefixed(b)}
}

// scripted is a connection on which everything to be read is there already.
type scripted struct {
	net.Conn
	in  *bytes.Reader
	out bytes.Buffer
}

func (c *scripted) Read(b []byte) (int, error)  { return c.in.Read(b) }
func (c *scripted) Write(b []byte) (int, error) { return c.out.Write(b) }
func (c *scripted) Close() error                { return nil }

// helloOf is the first flight of crypto/tls.
func helloOf(config *tls.Config) []byte {
	conn := &scripted{in: bytes.NewReader(nil)}
	_ = tls.Client(conn, config).Handshake() // ends with EOF after the first flight
	return conn.out.Bytes()
}

// oracle is what crypto/tls understands of a stream; nil is nothing.
func oracle(stream []byte) *tls.ClientHelloInfo {
	var info *tls.ClientHelloInfo
	config := &tls.Config{GetConfigForClient: func(i *tls.ClientHelloInfo) (*tls.Config, error) {
		info = i
		return nil, errors.New("that was all")
	}}
	_ = tls.Server(&scripted{in: bytes.NewReader(stream)}, config).Handshake()
	return info
}

// agree checks that two have read one thing.
func agree(t testing.TB, h *Hello, info *tls.ClientHelloInfo) {
	t.Helper()
	if string(h.ServerName) != info.ServerName {
		t.Errorf("server name %q, crypto/tls says %q", h.ServerName, info.ServerName)
	}
	i := 0
	for name := range h.Protocols.All() {
		if i >= len(info.SupportedProtos) || string(name) != info.SupportedProtos[i] {
			t.Errorf("protocol %d is %q, crypto/tls says %q", i, name, info.SupportedProtos)
		}
		i++
	}
	if i != len(info.SupportedProtos) {
		t.Errorf("%d protocols, crypto/tls says %q", i, info.SupportedProtos)
	}
}

// captured are the first flights in testdata/hello, by name.
func captured(t testing.TB) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob("testdata/hello/*.hex")
	if err != nil || len(files) == 0 {
		t.Fatalf("testdata/hello/*.hex: %d files, %v", len(files), err)
	}
	all := make(map[string][]byte)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all[file] = unhex(t, string(text))
	}
	return all
}
