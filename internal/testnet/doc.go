// Package testnet makes small simulated networks for tests and for the demo:
// hosts that are network namespaces, joined by veth pairs, in which real
// programs run as any uid.
//
//	func TestMain(m *testing.M) { testnet.Main(m) }
//
//	func TestCapture(t *testing.T) {
//		net := testnet.New(t)
//		pod, client := net.Host("pod"), net.Host("client")
//		net.Link(pod, "10.4.0.5/24,fd00:4::5/64", client, "10.4.0.9/24,fd00:4::9/64")
//
//		app := pod.As(1000, 1000).Start("/usr/bin/socat", "TCP-LISTEN:80,fork", "EXEC:cat")
//		app.WaitListen(80)
//		conn, err := client.Dial("tcp", "10.4.0.5:80")
//		...
//	}
//
// It needs no settings of the machine it runs on and leaves none behind. As
// root it makes namespaces directly. As an ordinary user Main (or Enter, in a
// program that is no test) runs the program again inside a user namespace
// with a range of uids, so that uid 1337 exists there too; that takes
// newuidmap and newgidmap (package uidmap) and an entry in /etc/subuid.
//
// A namespace lives as long as its holder, a child process that waits at a
// pipe. When the program that made it is killed, even by SIGKILL, the pipe
// ends, the holder kills what was started in its namespace, and goes too.
//
// When a test ends, everything that it started is stopped; a process that is
// still found in one of its namespaces fails the test, and a goroutine that
// outlives all tests fails the test binary.
package testnet
