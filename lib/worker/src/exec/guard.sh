# Ends the commands of a worker that was killed. This shell reads a pipe that the worker holds open. The pipe closes
# when the worker ends, for any reason. The worker says which commands are running:
#
#   run SLOT NAME      a command is about to be started, with LEASEHOLD_RUN=NAME in its environment
#   group SLOT GROUP   the command was started, and leads this process group
#   over SLOT          no process of the command is left
#
# When the input ends, each running command gets TERM and, a moment later, KILL, with its whole process group. The shell
# finds processes that have left the group by their environment. In the same way it finds a command that the worker
# started just before it ended, before it could send the group.
trap '' TERM INT HUP QUIT

last=0
while read -r what slot value; do
    case $what in
    run)
        eval "run$slot=\$value group$slot="
        [ "$slot" -gt "$last" ] && last=$slot
        ;;
    group) eval "group$slot=\$value" ;;
    over) eval "run$slot= group$slot=" ;;
    esac
done

names='' groups='' slot=0
while [ "$slot" -le "$last" ]; do
    eval "name=\${run$slot-} group=\${group$slot-}"
    [ -n "$name" ] && names="$names -e LEASEHOLD_RUN=$name"
    groups="$groups $group"
    slot=$((slot + 1))
done
[ -n "$names" ] || exit 0

# Prints the process groups of all processes that have one of the names in their environment, one group per line.
strays() {
    # The names are meant to be split into words.
    for file in $(grep -lsF $names /proc/[0-9]*/environ); do
        read -r line <"${file%environ}stat" || continue
        # After the name of the program, which ends with the last bracket: state, parent, process group.
        set -- ${line##*) }
        [ "$3" -gt 1 ] && echo "$3"
    done
}

signal() {
    for group in $2; do
        kill "-$1" "-$group"
    done
}

exec 2>/dev/null
signal TERM "$groups $(strays)"
sleep 0.3 || sleep 1
signal KILL "$groups"
# The next check finds processes that were started during this check.
looks=20
found=$(strays)
while [ -n "$found" ] && [ "$looks" -gt 0 ]; do
    signal KILL "$found"
    sleep 0.05 || sleep 1
    looks=$((looks - 1))
    found=$(strays)
done
