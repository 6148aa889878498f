package cli

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

// webshop is the program that the scripts watch: a server that is its own
// customer. It does what each line of its standard input says, and answers with
// a line:
//
//	open ADDRESS   listens on it
//	visit          connects to it, and both ends say a word
//	share          lets a child hold the listener too
//	call ADDRESS   connects to another; the answer is the error, or "done"
//	close          stops listening
//
// It is one thread, so that what it is called (comm) is what the thread is that
// does the work.
func webshop(args []string, stdin io.Reader, stdout io.Writer) error {
	runtime.LockOSThread()
	if len(args) > 0 {
		if err := rename(args[0]); err != nil {
			return err
		}
	}
	s := &shop{}
	defer s.close()
	for sc := bufio.NewScanner(stdin); sc.Scan(); {
		word, rest, _ := strings.Cut(sc.Text(), " ")
		answer := "done"
		if err := s.do(word, rest); err != nil {
			answer = err.Error()
		}
		if _, err := fmt.Fprintln(stdout, answer); err != nil {
			return err
		}
	}
	return nil
}

// rename gives this thread and the process another short name.
func rename(name string) error {
	for _, file := range []string{"/proc/thread-self/comm", "/proc/self/comm"} {
		if err := os.WriteFile(file, []byte(name), 0); err != nil {
			return err
		}
	}
	return nil
}

type shop struct {
	listener net.Listener
	child    *exec.Cmd
}

func (s *shop) do(word, rest string) (err error) {
	switch word {
	case "open":
		s.listener, err = net.Listen("tcp", rest)
		return err
	case "visit":
		return s.visit()
	case "share":
		return s.share()
	case "call":
		c, err := net.Dial("tcp", rest)
		if err == nil {
			c.Close()
		}
		return err
	case "close":
		return s.close()
	}
	return fmt.Errorf("unknown word %q", word)
}

func (s *shop) visit() error {
	out, err := net.Dial("tcp", s.listener.Addr().String())
	if err != nil {
		return err
	}
	defer out.Close()
	in, err := s.listener.Accept()
	if err != nil {
		return err
	}
	defer in.Close()
	if _, err := io.WriteString(out, "bread"); err != nil {
		return err
	}
	if _, err := io.ReadFull(in, make([]byte, 5)); err != nil {
		return err
	}
	_, err = io.WriteString(in, "thanks")
	if err == nil {
		_, err = io.ReadFull(out, make([]byte, 6))
	}
	return err
}

// share starts a child that has the listener and does nothing until its
// standard input ends.
func (s *shop) share() error {
	f, err := s.listener.(*net.TCPListener).File()
	if err != nil {
		return err
	}
	defer f.Close()
	s.child = exec.Command("/proc/self/exe")
	s.child.Args[0], s.child.ExtraFiles = "webshop", []*os.File{f}
	if _, err = s.child.StdinPipe(); err != nil {
		return err
	}
	return s.child.Start()
}

func (s *shop) close() (err error) {
	if s.listener != nil {
		err = s.listener.Close()
		s.listener = nil
	}
	if s.child != nil {
		s.child.Process.Kill()
		s.child.Wait()
		s.child = nil
	}
	return err
}
