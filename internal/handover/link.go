package handover

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/sluiceproxy/sluice/internal/sock"
)

// headerSize is that of a message's kind, number of descriptors, and length of
// what follows.
const headerSize = 1 + 1 + 4

// link sends and receives messages. The descriptors of a message travel with its
// first byte; a body is JSON.
type link struct {
	conn *net.UnixConn
	step time.Duration
}

// message is a received message. Its receiver owns the descriptors.
type message struct {
	kind kind
	body []byte
	fds  []int
}

// send sends a message; body nil is none. The sender keeps its descriptors. A
// message without a body is sent whole or not at all.
func (l *link) send(k kind, body any, fds []int) error {
	frame := make([]byte, headerSize)
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("encoding message %d: %w", k, err)
		}
		frame = append(frame, encoded...)
	}
	if len(frame)-headerSize > maxBody || len(fds) > sock.MaxRights {
		return fmt.Errorf("message %d with %d bytes and %d descriptors is too large", k, len(frame), len(fds))
	}
	frame[0], frame[1] = byte(k), byte(len(fds))
	binary.BigEndian.PutUint32(frame[2:], uint32(len(frame)-headerSize))
	if err := l.conn.SetWriteDeadline(time.Now().Add(l.step)); err != nil {
		return fmt.Errorf("sending message %d: %w", k, err)
	}
	n, _, err := l.conn.WriteMsgUnix(frame, sock.Rights(fds), nil)
	if err == nil && n < len(frame) {
		_, err = l.conn.Write(frame[n:])
	}
	if err != nil {
		return fmt.Errorf("sending message %d: %w", k, err)
	}
	return nil
}

// errGone is a peer that has closed its end, or died. It is no io.EOF, which ends
// batches.
var errGone = errors.New("the other process is gone")

// receive waits for the next message, up to wait; 0 is forever. On an error no
// descriptor is left open.
func (l *link) receive(wait time.Duration) (message, error) {
	m, err := l.receiveFirst(wait)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return message{}, errGone
	}
	return m, err
}

func (l *link) receiveFirst(wait time.Duration) (message, error) {
	var deadline time.Time
	if wait > 0 {
		deadline = time.Now().Add(wait)
	}
	if err := l.conn.SetReadDeadline(deadline); err != nil {
		return message{}, fmt.Errorf("receiving: %w", err)
	}
	var header [headerSize]byte
	control := make([]byte, sock.RightsSpace(sock.MaxRights))
	n, c, _, _, err := l.conn.ReadMsgUnix(header[:], control)
	if err != nil {
		return message{}, fmt.Errorf("receiving: %w", err)
	}
	m := message{kind: kind(header[0])}
	if m.fds, err = sock.ParseRights(control[:c]); err != nil {
		return message{}, err
	}
	if err := l.receiveRest(&m, header[:], n); err != nil {
		sock.CloseAll(m.fds)
		return message{}, err
	}
	return m, nil
}

// receiveRest reads what follows the n bytes of the header that have come.
func (l *link) receiveRest(m *message, header []byte, n int) error {
	if _, err := io.ReadFull(l.conn, header[n:]); err != nil {
		return fmt.Errorf("receiving the rest of a header: %w", err)
	}
	m.kind = kind(header[0])
	if want := int(header[1]); len(m.fds) != want {
		return fmt.Errorf("message %d came with %d descriptors instead of %d; is the limit of open files too low?",
			m.kind, len(m.fds), want)
	}
	size := binary.BigEndian.Uint32(header[2:])
	if size > maxBody {
		return fmt.Errorf("%w: message %d says that it has %d bytes", ErrProtocol, m.kind, size)
	}
	m.body = make([]byte, size)
	if _, err := io.ReadFull(l.conn, m.body); err != nil {
		return fmt.Errorf("receiving message %d: %w", m.kind, err)
	}
	return nil
}

// expect receives a message of one kind and decodes its body into body, unless
// that is nil. The caller owns the descriptors.
func (l *link) expect(want kind, wait time.Duration, body any) ([]int, error) {
	m, err := l.receive(wait)
	if err != nil {
		return nil, err
	}
	if err := m.decode(want, body); err != nil {
		sock.CloseAll(m.fds)
		return nil, err
	}
	return m.fds, nil
}

// expectBare is expect for a message that has no descriptors.
func (l *link) expectBare(want kind, wait time.Duration, body any) error {
	fds, err := l.expect(want, wait, body)
	if err == nil && len(fds) > 0 {
		sock.CloseAll(fds)
		err = fmt.Errorf("%w: message %d came with descriptors", ErrProtocol, want)
	}
	return err
}

func (m *message) decode(want kind, body any) error {
	if m.kind == kindOff {
		return ErrOff
	}
	if m.kind != want {
		return fmt.Errorf("%w: message %d came instead of %d", ErrProtocol, m.kind, want)
	}
	if body == nil {
		return nil
	}
	if err := json.Unmarshal(m.body, body); err != nil {
		return fmt.Errorf("%w: message %d: %w", ErrProtocol, m.kind, err)
	}
	return nil
}

// decision receives a message without body that gives something away: once the
// peer has sent it with success, it has let go. So both must agree whether it was
// sent, also when the time is over: from CloseRead on the peer's attempts to send
// it fail, and what it has sent before is still there to be read.
func (l *link) decision(want kind, wait time.Duration) error {
	err := l.expectBare(want, wait, nil)
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	if l.conn.CloseRead() != nil || l.expectBare(want, l.step, nil) != nil {
		return err
	}
	return nil
}

// greet exchanges hellos and says who the peer is.
func (l *link) greet(role, wanted string, o *Options) (Process, error) {
	own := hello{Protocol: protocol, Role: role, Process: o.Process}
	if err := l.send(kindHello, own, nil); err != nil {
		return Process{}, err
	}
	var peer hello
	if err := l.expectBare(kindHello, l.step, &peer); err != nil {
		return Process{}, err
	}
	return peer.Process, checkHello(&peer, wanted)
}
