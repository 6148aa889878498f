package render

import "github.com/portreporter/portreporter/internal/activity"

// appendOwner appends the process, as much of it as is known.
func appendOwner(b []byte, k activity.ProcessKey, p *activity.Process, unknown bool) []byte {
	p = known(p)
	if p != nil {
		return appendProcess(appendKey(b, "process"), k, p)
	}
	if k.PID != 0 {
		b = append(appendKey(b, "process"), '{')
		b = appendUintField(b, "pid", uint64(k.PID))
		return append(appendNull(appendNull(b, "name"), "exe"), '}')
	}
	if unknown {
		return appendNull(b, "process")
	}
	return b
}

func appendProcess(b []byte, k activity.ProcessKey, p *activity.Process) []byte {
	b = append(b, '{')
	b = appendUintField(b, "pid", uint64(ownerPID(k, p)))
	b = appendTimeField(b, "start", p.Start)
	b = appendKnown(b, "name", p.Name)
	if p.Kernel {
		b = appendBool(b, "kernel", true)
	} else {
		b = appendKnown(b, "exe", p.Exe)
		b = appendArgs(b, p)
	}
	b = appendIf(b, "cwd", p.Cwd)
	b = appendAncestors(b, p)
	b = appendIDField(b, "uid", p.UID)
	b = appendKnown(b, "user", p.User)
	if p.EUID != p.UID && p.EUID != activity.NoID {
		b = appendIDField(b, "euid", p.EUID)
		b = appendKnown(b, "euser", p.EffectiveUser)
	}
	if p.LoginUID != activity.NoID {
		b = appendIDField(b, "login_uid", p.LoginUID)
		b = appendKnown(b, "login", p.LoginUser)
	}
	if p.Deleted {
		b = appendBool(b, "deleted", true)
	}
	if p.MemFD {
		b = appendBool(b, "memfd", true)
	}
	b = appendIf(b, "sha256", p.ExeSHA256)
	b = appendIf(b, "package", p.ExePackage)
	b = appendIf(b, "cgroup", p.Cgroup)
	b = appendIf(b, "unit", p.Unit.Name)
	b = appendIf(b, "unit_description", p.Unit.Description)
	b = appendIf(b, "unit_user", p.Unit.User)
	return append(appendContainer(b, &p.Container), '}')
}

func appendArgs(b []byte, p *activity.Process) []byte {
	if p.Args == nil {
		return appendNull(b, "args")
	}
	b = appendStrings(appendKey(b, "args"), p.Args)
	if p.ArgsTruncated {
		b = appendBool(b, "args_truncated", true)
	}
	return b
}

func appendStrings(b []byte, ss []string) []byte {
	b = append(b, '[')
	for i, s := range ss {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, s)
	}
	return append(b, ']')
}

// appendAncestors appends the parent, and the whole chain when it goes on.
func appendAncestors(b []byte, p *activity.Process) []byte {
	if len(p.Ancestors) == 0 {
		return b
	}
	b = appendUintField(b, "ppid", uint64(p.Ancestors[0].Key.PID))
	b = appendKnown(b, "parent", p.Ancestors[0].Name)
	if len(p.Ancestors) == 1 {
		return b
	}
	b = append(appendKey(b, "ancestors"), '[')
	for i := range p.Ancestors {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendUintField(append(b, '{'), "pid", uint64(p.Ancestors[i].Key.PID))
		b = append(appendKnown(b, "name", p.Ancestors[i].Name), '}')
	}
	return append(b, ']')
}

func appendContainer(b []byte, c *activity.Container) []byte {
	if c.ID == "" && c.Name == "" && c.Pod == "" {
		return b
	}
	b = append(appendKey(b, "container"), '{')
	b = appendIf(b, "runtime", c.Runtime)
	b = appendIf(b, "id", c.ID)
	b = appendIf(b, "name", c.Name)
	b = appendIf(b, "image", c.Image)
	b = appendIf(b, "pod", c.Pod)
	return append(b, '}')
}

func appendHolders(b []byte, e *activity.Event) []byte {
	if h := known(e.Holder); h != nil {
		b = appendProcess(appendKey(b, "holder"), activity.ProcessKey{}, h)
	} else if e.Unknown&activity.FactHolder != 0 {
		b = appendNull(b, "holder")
	}
	if len(e.Holders) == 0 {
		return b
	}
	b = append(appendKey(b, "holders"), '[')
	for _, p := range e.Holders {
		b = appendBrief(b, p)
	}
	return append(b, ']')
}

// appendBrief appends a process as one of several.
func appendBrief(b []byte, p *activity.Process) []byte {
	if b[len(b)-1] != '[' {
		b = append(b, ',')
	}
	if p = known(p); p == nil {
		return append(b, "null"...)
	}
	b = appendUintField(append(b, '{'), "pid", uint64(p.Key.PID))
	b = appendKnown(b, "name", p.Name)
	if !p.Kernel {
		b = appendKnown(b, "exe", p.Exe)
	}
	return append(b, '}')
}

// appendSocketHolders appends who else has the socket open: resolved where
// they are, else by pid.
func appendSocketHolders(b []byte, s *activity.Socket) []byte {
	if len(s.Others) == 0 && len(s.Holders) < 2 {
		return b
	}
	b = append(appendKey(b, "holders"), '[')
	for _, p := range s.Others {
		b = appendBrief(b, p)
	}
	for _, k := range s.Holders {
		if k.PID == s.Owner.PID || hasPID(s.Others, k.PID) {
			continue
		}
		if b[len(b)-1] != '[' {
			b = append(b, ',')
		}
		b = append(appendNull(appendUintField(append(b, '{'), "pid", uint64(k.PID)), "name"), '}')
	}
	return append(b, ']')
}

func hasPID(ps []*activity.Process, pid uint32) bool {
	for _, p := range ps {
		if p != nil && p.Key.PID == pid {
			return true
		}
	}
	return false
}
