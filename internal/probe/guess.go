package probe

import (
	"context"
	"net"
	"slices"
	"sync"
	"time"
)

// How an unusual TCP port is recognised.
const (
	// headStart is for a greeting, beside the path's time, before anybody asks:
	// whoever speaks first does so as soon as it has accepted, and some turn away
	// who talks before. Slower ones are heard all the same, see guess.
	headStart = 250 * time.Millisecond
	// lastWord times an answer's wait, which is a second and the path, is for a
	// greeting where nobody understood a question either: mail servers that wait on
	// purpose take 5 or 6 seconds.
	lastWord = 8

	quickTime = 500 * time.Millisecond // for an answer to a question that is one of many, beside the path's
	webTime   = 2 * time.Second        // to those most likely, which have slow pages too, and to whoever was given away

	portWidth = 4  // connections that ask at one port, so that a small service survives
	hostWidth = 16 // at one host

	// busyPause is before the second try, the only one, at a service that turned
	// the first away.
	busyPause = time.Second
)

// guess finds out who answers at a TCP port that neither name nor number tells of.
//
// One connection listens all the time. After a head start others ask, some at
// once: first HTTP and TLS, which most services are, and then the rest, where
// those stand first that stay silent to others' questions and would cost the most
// time; the others complain or close in an instant, and some by words that give
// them away (complaint). The first that is understood ends all others.
//
//	listen ---- a greeting known ------> ask that one, on the same connection
//	   |------- a line nobody knows ---> it is not for us to talk
//	   |------- silence: head start ---> ask, one after the other is done
//	                                     understood ---> what it carries is asked too
//	                                     nobody -------> listen to the last word
type guess struct {
	ctx context.Context
	d   *dialer
	t   Target
	all []Prober // that speak TCP

	queue []Prober // to be asked next
	width int      // at once; 0: nobody asks yet
	under map[*asked]context.CancelFunc
	known map[string]bool // asked, under way, or never to be
	greet map[string]bool // the greeting is theirs: they have more time
	given string          // away by what was said: who asks alone; "" nobody
	hand  net.Conn        // a connection with its greeting, for the first of queue

	group    sync.WaitGroup
	outcomes chan *asked
	heard    chan overheard
	listens  bool
	tries    int         // of listening
	head     *time.Timer // the head start

	said  []byte
	found *Answer
	more  []string // who may tell more than found does
}

// asked is what came of a question.
type asked struct {
	by     Prober
	answer *Answer
	said   []byte
}

// overheard is what a connection told unasked.
type overheard struct {
	said   []byte
	conn   net.Conn // nil: closed
	speaks bool     // it has begun to, and goes on
	turned bool     // away: the service closed
}

// guessTCP returns who answers at an unusual port, or what was said there. said is
// what was heard of it already; patience is for a greeting.
func guessTCP(ctx context.Context, d *dialer, t Target, all []Prober, said []byte, patience time.Duration) (*Answer, []byte) {
	ctx, cancel := context.WithCancel(ctx)
	g := &guess{ctx: ctx, d: d, t: t, said: said,
		under: map[*asked]context.CancelFunc{}, known: map[string]bool{}, greet: map[string]bool{},
		outcomes: make(chan *asked, portWidth), heard: make(chan overheard, 2), head: time.NewTimer(headStart + d.path)}
	g.all = slices.DeleteFunc(slices.Clone(all), func(p Prober) bool { return !speaks(p, TCP) })
	defer g.end()
	defer cancel()
	switch {
	case printer(t.Port):
		g.listen(0, min(patience, d.wait))
	case said == nil:
		g.queue = likely(g.all)
		g.listen(0, patience)
	case !g.greeters(said, nil):
		g.queue, g.width = likely(g.all), portWidth
		g.promote(said)
	}
	return g.run()
}

// likely are the Probers that ask without being told by a greeting or by what
// carries them, in the order in which they do.
func likely(all []Prober) []Prober {
	order := []string{"http", "tls",
		"redis", "dns", "rdp", "modbus", "stun", "mssql", "sip", // mute to strangers
		"postgresql", "mongodb", "memcached", "mqtt", "amqp", "ldap", "smb", "kafka", "kerberos", "rpc"}
	place := func(p Prober) int {
		switch i := slices.Index(order, p.Protocol()); {
		case outranked(p.Protocol()) != "" && i < 0:
			return len(order) + 1 // after whoever tells more
		case i < 0:
			return len(order)
		default:
			return i
		}
	}
	ps := slices.DeleteFunc(slices.Clone(all), func(p Prober) bool { return speaksFirst(p) || carrier(p) != "" })
	slices.SortStableFunc(ps, func(a, b Prober) int { return place(a) - place(b) })
	return ps
}

// outranked is the protocol that tells more where both are understood; "" none. A
// file server takes NetBIOS's sessions at every port.
func outranked(protocol string) string {
	return map[string]string{"tls": "http", "netbios": "smb"}[protocol]
}

// run asks and listens until somebody is understood, or nobody is left.
func (g *guess) run() (*Answer, []byte) {
	defer g.head.Stop()
	for g.ctx.Err() == nil && !g.over() {
		select { // what is known already may spare a question
		case o := <-g.outcomes:
			g.takes(o)
			continue
		default:
		}
		var slots chan<- struct{}
		if len(g.queue) > 0 && len(g.under) < g.width && (g.given == "" || !g.known[g.given]) {
			slots = g.d.slots
		}
		select {
		case <-g.ctx.Done():
		case <-g.head.C:
			g.begin()
		case slots <- struct{}{}:
			g.ask()
		case o := <-g.outcomes:
			g.takes(o)
		case h := <-g.heard:
			g.hears(h)
		}
	}
	return g.found, g.said
}

// begin has those ask who do not wait for a greeting.
func (g *guess) begin() {
	if g.width == 0 {
		g.width = portWidth
	}
}

// over says whether nothing is left to be done.
func (g *guess) over() bool {
	return len(g.queue) == 0 && len(g.under) == 0 && (g.found != nil || !g.listens)
}

// end waits for all that was begun. The context is done.
func (g *guess) end() {
	g.group.Wait()
	close(g.heard)
	for h := range g.heard {
		shut(h.conn)
	}
	shut(g.hand)
}

func shut(c net.Conn) {
	if c != nil {
		c.Close()
	}
}

// listen opens a connection after a pause, and listens.
func (g *guess) listen(pause, patience time.Duration) {
	g.listens = true
	g.tries++
	g.group.Go(func() {
		select {
		case <-time.After(pause):
		case <-g.ctx.Done():
		}
		g.heard <- g.overhear(patience)
	})
}

func (g *guess) overhear(patience time.Duration) overheard {
	if g.d.pay(g.ctx) != nil {
		return overheard{}
	}
	c, err := g.d.TCP(g.ctx)
	if err != nil {
		return overheard{turned: ended(err)}
	}
	said, err := overhear(g.ctx, c, patience, func() { g.heard <- overheard{speaks: true} })
	if len(said) > 0 {
		return overheard{said: said, conn: &replay{c, said}, turned: later(said)}
	}
	c.Close()
	return overheard{turned: ended(err)}
}

// hears decides on what was overheard.
func (g *guess) hears(h overheard) {
	if h.speaks { // nobody interrupts it
		g.silence()
		return
	}
	g.listens = false
	if len(h.said) > 0 && (g.said == nil || text(h.said)) {
		g.said = h.said
	}
	switch {
	case h.turned && (g.width == 0 || later(h.said)):
		g.again()
	case len(h.said) == 0:
		g.begin()
	case g.greeters(h.said, h.conn):
		return // the connection is theirs
	case text(h.said): // a greeting that we don't know: it is not for us to talk
		g.silence()
	default:
		g.begin()
		g.promote(h.said)
	}
	shut(h.conn)
}

// again listens once more to a service that has turned us away before anybody
// asked. Who does so twice is not to be asked either.
func (g *guess) again() {
	g.silence()
	if g.tries == 1 {
		g.queue = likely(g.all)
		g.head.Reset(busyPause + headStart + 2*g.d.path)
		g.listen(busyPause, lastWord*g.d.wait)
	}
}

// silence ends all questions, and those to come.
func (g *guess) silence() {
	g.queue = nil
	g.only("")
}

// greeters has nobody ask but those who may greet so, one after the other, and the
// first of them on this connection, if there is one. It is false where there is
// no such Prober.
func (g *guess) greeters(said []byte, c net.Conn) bool {
	var queue []Prober
	for _, name := range greets(said) {
		queue = append(queue, g.named(name)...)
		g.greet[name] = true
	}
	if len(queue) == 0 {
		return false
	}
	g.silence()
	g.queue, g.width, g.hand = queue, 1, c
	return true
}

// named is the Prober of that name, as a list of one or none.
func (g *guess) named(name string) []Prober {
	if i := slices.IndexFunc(g.all, func(p Prober) bool { return p.Protocol() == name }); i >= 0 {
		return []Prober{g.all[i]}
	}
	return nil
}

// promote has those asked next who may have said this.
func (g *guess) promote(said []byte) {
	for _, name := range complaint(said) {
		if p := g.named(name); !g.known[name] && len(p) > 0 {
			g.given = name
			g.queue = append(p, slices.DeleteFunc(g.queue, func(p Prober) bool { return p.Protocol() == name })...)
		}
	}
}

// ask has the first of the queue ask, in the slot of the host's that was taken.
func (g *guess) ask() {
	o := &asked{by: g.queue[0]}
	g.queue = g.queue[1:]
	name := o.by.Protocol()
	g.known[name] = true
	limit := quickTime + 2*g.d.path
	switch {
	case g.greet[name]:
		limit = askedTime + g.d.wait
	case name == "http" || name == "tls" || name == g.given || carrier(o.by) != "":
		limit = webTime + 2*g.d.path
	}
	d := &handed{g.d, g.hand}
	g.hand = nil
	ctx, cancel := context.WithCancel(g.ctx)
	g.under[o] = cancel
	g.group.Go(func() {
		defer cancel()
		o.answer, o.said, _ = ask(ctx, d, o.by, g.t, limit)
		shut(d.conn) // not wanted
		<-g.d.slots
		g.outcomes <- o
	})
}

// takes decides on what came of a question.
func (g *guess) takes(o *asked) {
	delete(g.under, o)
	name := o.by.Protocol()
	if name == g.given {
		g.given = ""
	}
	switch {
	case o.answer != nil && (g.found == nil || slices.Contains(g.more, name)):
		g.finds(name, o.answer)
	case o.answer == nil && len(o.said) > 0 && g.found == nil:
		if g.said == nil {
			g.said = o.said
		}
		if g.width > 1 {
			g.promote(o.said)
		}
	}
}

// finds takes an answer, and has nobody ask but those who may tell more: what
// outranks its protocol, what runs in it, and who gave himself away by it.
func (g *guess) finds(name string, a *Answer) {
	g.found, g.more = a, []string{outranked(name)}
	g.only(outranked(name))
	g.queue = slices.DeleteFunc(g.queue, func(p Prober) bool { return p.Protocol() != outranked(name) })
	for _, p := range g.all {
		if carrier(p) == name || name == "http" && slices.Contains(complaint(a.Raw), p.Protocol()) && p.Protocol() != name {
			g.queue = append(g.queue, p)
			g.more = append(g.more, p.Protocol())
		}
	}
}

// only ends all questions under way but one.
func (g *guess) only(name string) {
	for o, cancel := range g.under {
		if o.by.Protocol() != name {
			cancel()
		}
	}
}

// carrier is the protocol that p's runs in: it need not be asked where that does
// not answer. "" is none.
func carrier(p Prober) string {
	if c, ok := p.(interface{ Carrier() string }); ok {
		return c.Carrier()
	}
	return ""
}

// printer: such a port prints what it is sent (JetDirect, 9100 to 9107).
func printer(port uint16) bool { return port >= 9100 && port <= 9107 }
