# Leads the process group of the fleet and waits on a pipe that `leasehold dev` holds open: when that
# process has ended, for any reason, this script ends the remaining processes of the group.
#
# TERM lets workers give their jobs back; a second TERM skips their grace, so that they end the commands they
# run; KILL is for processes that are left 10 s later, including frozen processes.
trap '' TERM INT HUP
read -r _

others() {
    for file in /proc/[0-9]*/stat; do
        read -r line <"$file" || continue
        # After the name, which ends with the last bracket: state, parent, process group.
        set -- ${line##*) }
        [ "$3" = "$$" ] && [ "$1" != Z ] && [ "${line%% *}" != "$$" ] && return 0
    done 2>/dev/null
    return 1
}

others || exit 0
kill -TERM 0
kill -CONT 0
sleep 1
kill -TERM 0
left=100
while others && [ "$left" -gt 0 ]; do
    sleep 0.1
    left=$((left - 1))
done
others && kill -KILL 0
