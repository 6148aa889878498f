package filter

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// addrPattern is one address value: where an end may be, and on which port.
type addrPattern struct {
	prefix netip.Prefix // invalid: any address, or that of the scope
	scope  scope
	ports  *span // nil any
}

// scope is a word for many addresses.
type scope uint8

const (
	scopeNone scope = iota
	scopeLoopback
	scopePrivate   // RFC 1918, RFC 4193
	scopeLinkLocal // RFC 3927, RFC 4291 section 2.5.6
	scopeMulticast
	scopeUnspecified // 0.0.0.0 and ::
	scopeShared      // carrier-grade NAT, RFC 6598
	scopePublic      // none of the others
	numScopes
)

func (s scope) String() string {
	return [numScopes]string{"", "loopback", "private", "link-local", "multicast", "unspecified", "shared", "public"}[s]
}

func parseScope(w string) scope {
	for s := scopeLoopback; s < numScopes; s++ {
		if s.String() == strings.ToLower(w) {
			return s
		}
	}
	return scopeNone
}

func (s scope) has(a netip.Addr) bool {
	switch s {
	case scopeLoopback:
		return a.IsLoopback()
	case scopePrivate:
		return a.IsPrivate()
	case scopeLinkLocal:
		return a.IsLinkLocalUnicast()
	case scopeMulticast:
		return a.IsMulticast()
	case scopeUnspecified:
		return a.IsUnspecified()
	case scopeShared:
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64}), 10).Contains(a)
	}
	for other := scopeLoopback; other < scopePublic; other++ {
		if other.has(a) {
			return false
		}
	}
	return true
}

// prefixes lists what the scope covers, nil when it is not a few prefixes.
func (s scope) prefixes() (ps []netip.Prefix) {
	var text []string
	switch s {
	case scopeLoopback:
		text = []string{"127.0.0.0/8", "::1/128"}
	case scopePrivate:
		text = []string{"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"}
	case scopeLinkLocal:
		text = []string{"169.254.0.0/16", "fe80::/10"}
	case scopeMulticast:
		text = []string{"224.0.0.0/4", "ff00::/8"}
	case scopeUnspecified:
		text = []string{"0.0.0.0/32", "::/128"}
	case scopeShared:
		text = []string{"100.64.0.0/10"}
	}
	for _, t := range text {
		ps = append(ps, netip.MustParsePrefix(t))
	}
	return ps
}

// has reports whether the end a is meant. An end without an address is not.
func (p *addrPattern) has(a netip.AddrPort) bool {
	ip := a.Addr()
	if !ip.IsValid() {
		return false
	}
	if p.ports != nil && (uint64(a.Port()) < p.ports.lo || uint64(a.Port()) > p.ports.hi) {
		return false
	}
	if p.prefix.IsValid() {
		return p.prefix.Contains(ip.WithZone("")) // a zone names an interface of the moment
	}
	return p.scope == scopeNone || p.scope.has(ip)
}

func (p *addrPattern) String() string {
	host := "*"
	switch {
	case p.prefix.IsValid() && p.prefix.IsSingleIP():
		host = p.prefix.Addr().String()
	case p.prefix.IsValid():
		host = p.prefix.String()
	case p.scope != scopeNone:
		host = p.scope.String()
	}
	if p.ports == nil {
		return host
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return host + ":" + formatSpan(*p.ports, unitCount)
}

// parseAddr reads an address value: ADDRESS, CIDR, 10.1.*, a scope or "*", each
// with or without a :PORT, :LOW-HIGH or :SERVICE.
func (c *compiler) parseAddr(s string) (addrPattern, error) {
	host, port, hasPort := splitPort(s)
	p, ok := parseHost(host)
	if host == "" && !hasPort || s[:min(1, len(s))] == "[" && !p.prefix.IsValid() {
		ok = false // "[*]" is a class of characters
	}
	if !ok {
		return p, fmt.Errorf("bad address %s: want an address, 10.0.0.0/8, address:port or %s", quoteShort(s), orList([]string{"loopback", "private", "link-local", "multicast", "unspecified", "shared", "public"}))
	}
	if hasPort {
		sp, err := c.parsePort(port)
		if err != nil {
			return p, err
		}
		p.ports = &sp
	}
	return p, nil
}

// splitPort parts host and port. An IPv6 host with a port is in brackets.
func splitPort(s string) (host, port string, ok bool) {
	if strings.HasPrefix(s, "[") {
		host, rest, closed := strings.Cut(s[1:], "]")
		if !closed || rest != "" && rest[0] != ':' {
			return s, "", false
		}
		return host, strings.TrimPrefix(rest, ":"), rest != ""
	}
	if strings.Count(s, ":") == 1 {
		return strings.Cut(s, ":")
	}
	return s, "", false
}

func parseHost(s string) (p addrPattern, ok bool) {
	if s == "" || s == "*" {
		return p, true
	}
	if p.scope = parseScope(s); p.scope != scopeNone {
		return p, true
	}
	if a, err := netip.ParseAddr(s); err == nil {
		a = a.Unmap().WithZone("")
		p.prefix = netip.PrefixFrom(a, a.BitLen())
		return p, true
	}
	if x, err := netip.ParsePrefix(s); err == nil {
		p.prefix = unmapPrefix(x).Masked()
		return p, true
	}
	p.prefix, ok = wildcardPrefix(s)
	return p, ok
}

// unmapPrefix turns ::ffff:10.0.0.0/104 into 10.0.0.0/8, as events hold
// addresses unmapped.
func unmapPrefix(x netip.Prefix) netip.Prefix {
	if a := x.Addr(); a.Is4In6() && x.Bits() >= 96 {
		return netip.PrefixFrom(a.Unmap(), x.Bits()-96)
	}
	return x
}

// wildcardPrefix reads 10.1.* as 10.1.0.0/16.
func wildcardPrefix(s string) (netip.Prefix, bool) {
	head, ok := strings.CutSuffix(s, ".*")
	if !ok {
		return netip.Prefix{}, false
	}
	for strings.HasSuffix(head, ".*") {
		head = strings.TrimSuffix(head, ".*")
	}
	n := strings.Count(head, ".") + 1
	if n > 3 {
		return netip.Prefix{}, false
	}
	a, err := netip.ParseAddr(head + strings.Repeat(".0", 4-n))
	if err != nil {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(a, 8*n), true
}

// parsePort reads N, LOW-HIGH, LOW..HIGH or a service name.
func (c *compiler) parsePort(s string) (span, error) {
	if sp, ok, err := parseSpan(s, unitCount); ok {
		if err == nil && sp.hi > 65535 {
			err = fmt.Errorf("port %s is out of range: want 0 to 65535", quoteShort(s))
		}
		return sp, err
	}
	if n, ok := c.service(s); ok {
		return span{uint64(n), uint64(n)}, nil
	}
	return span{}, c.near(fmt.Sprintf("bad port %s: want a number, a range such as 8000-8100, or a service name", quoteShort(s)), s, serviceNames())
}

func (c *compiler) service(name string) (uint16, bool) {
	name = strings.ToLower(name)
	if n, ok := builtinService(name); ok {
		return n, true
	}
	if c.opt.Services != nil {
		return c.opt.Services(name)
	}
	return 0, false
}

// parseSpan reads N or a range of the unit; ok is false when s does not look
// like numbers at all.
func parseSpan(s string, u unit) (sp span, ok bool, err error) {
	if s == "" || s[0] < '0' || s[0] > '9' {
		return sp, false, nil
	}
	a, b, isRange := strings.Cut(s, "..")
	if !isRange {
		a, b, isRange = strings.Cut(s, "-")
	}
	if !isRange {
		b = a
	}
	if sp.lo, err = u.parse(a); err != nil {
		return sp, true, err
	}
	if sp.hi, err = u.parse(b); err != nil {
		return sp, true, err
	}
	if sp.hi < sp.lo {
		return sp, true, fmt.Errorf("the range %s ends before it begins", quoteShort(s))
	}
	return sp, true, nil
}

func formatSpan(s span, u unit) string {
	if s.lo == s.hi {
		return u.format(s.lo)
	}
	if u == unitCount {
		return strconv.FormatUint(s.lo, 10) + "-" + strconv.FormatUint(s.hi, 10)
	}
	return u.format(s.lo) + "-" + u.format(s.hi)
}
