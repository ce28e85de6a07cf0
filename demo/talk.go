package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// talkTimeout bounds a conversation; without it a sidecar that waits for the
// client's first bytes would look like a slow one.
const talkTimeout = 10 * time.Second

// talkSize is how many bytes a client sends to be echoed: enough for the
// sidecar to change from copying to splicing.
const talkSize = 1 << 20

// report is what the client's side knows of a connection.
type report struct {
	Local    string `json:"local"` // the client's own address
	Answer   answer `json:"answer"`
	Sent     int64  `json:"sent"`
	Received int64  `json:"received"`
}

// talk connects from a port, where 0 is any, waits for the server to speak, sends
// talkSize bytes, ends its side, and checks that they come back. It writes a report
// as JSON.
func talk(address string, port int, out io.Writer) error {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{Port: port}, Timeout: talkTimeout}
	conn, err := dialer.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(talkTimeout)); err != nil {
		return err
	}
	greeting, err := readLine(conn)
	if err != nil {
		return fmt.Errorf("wait for the server's greeting: %w", err)
	}
	r := report{Local: conn.LocalAddr().String(), Sent: talkSize}
	if err := json.Unmarshal(greeting, &r.Answer); err != nil {
		return fmt.Errorf("greeting %q: %w", greeting, err)
	}
	echoed, err := echo(conn.(*net.TCPConn))
	if err != nil {
		return err
	}
	r.Received = int64(len(greeting)) + echoed
	return json.NewEncoder(out).Encode(r)
}

// readLine reads no further than the line's end: what follows is the echo's.
func readLine(r io.Reader) ([]byte, error) {
	var line []byte
	for b := make([]byte, 1); ; {
		if _, err := io.ReadFull(r, b); err != nil {
			return line, err
		}
		if line = append(line, b[0]); b[0] == '\n' {
			return line, nil
		}
	}
}

// echo sends talkSize bytes and FIN, and returns how many came back.
func echo(conn *net.TCPConn) (int64, error) {
	payload := make([]byte, talkSize)
	for i := range payload {
		payload[i] = byte(i ^ i>>8 ^ i>>16)
	}
	sent := make(chan error, 1)
	go func() {
		_, err := conn.Write(payload)
		sent <- errors.Join(err, conn.CloseWrite())
	}()
	back, err := io.ReadAll(conn)
	if err := errors.Join(err, <-sent); err != nil {
		return 0, fmt.Errorf("echo of %d bytes: %w", talkSize, err)
	}
	if !bytes.Equal(back, payload) {
		return 0, fmt.Errorf("echo of %d bytes: %d came back, and not the same", talkSize, len(back))
	}
	return int64(len(back)), nil
}
