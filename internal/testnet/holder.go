package testnet

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
)

// holderScript is the program of a holder. It reads "+ PGID" for each process
// group that is started in its namespace and "- PGID" for each that has
// ended. At the end of its input, which comes when the other side closes the
// pipe or dies, it kills what is left and goes.
const holderScript = `
groups=' '
while read -r op group; do
	case $op in
	+) groups="$groups$group " ;;
	-) case $groups in *" $group "*) groups="${groups%% $group *} ${groups#* $group }" ;; esac ;;
	esac
done
for group in $groups; do kill -s KILL -- "-$group"; done 2>/dev/null
exit 0`

// holder is a process that keeps a network namespace alive.
type holder struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	net *os.File // the namespace; owned
	id  string   // the namespace's name for people and for /proc, net:[4026532001]
}

// newHolder makes a network namespace with a process in it.
//
// The holder is no copy of this program and asks for no parent-death signal:
// that would come when the thread that forked it ends, which in Go may be
// long before the process does. It has a process group of its own, so that a
// Ctrl-C at the terminal does not stop it from tidying up.
func newHolder() (*holder, error) {
	cmd := exec.Command("/bin/sh", "-c", holderScript)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Setpgid: true}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("make a network namespace: %w", err)
	}
	h := &holder{cmd: cmd, in: in}
	path := fmt.Sprintf("/proc/%d/ns/net", h.pid())
	if h.net, err = os.Open(path); err == nil {
		h.id, err = os.Readlink(path)
	}
	if err != nil {
		h.release()
		return nil, fmt.Errorf("namespace of the holder: %w", err)
	}
	return h, nil
}

func (h *holder) pid() int { return h.cmd.Process.Pid }

// adopt has the holder kill this process group should this program die.
func (h *holder) adopt(group int) error {
	_, err := fmt.Fprintf(h.in, "+ %d\n", group)
	return err
}

// forget takes back adopt once the group is gone.
func (h *holder) forget(group int) error {
	_, err := fmt.Fprintf(h.in, "- %d\n", group)
	return err
}

// release ends the holder; the namespace goes with the last process and
// socket in it.
func (h *holder) release() error {
	h.in.Close()
	h.net.Close()
	return h.cmd.Wait()
}
