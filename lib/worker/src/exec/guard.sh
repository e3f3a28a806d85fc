# Ends the commands of a worker that was killed. Reads from a pipe that the worker holds open, so the end of its input
# is the end of the worker, whatever ended it. The worker says which of its commands are at work:
#
#   run SLOT NAME      a command is about to be started, with LEASEHOLD_RUN=NAME in its environment
#   group SLOT GROUP   it was started, and leads this process group
#   over SLOT          nothing of it is left
#
# A command that is at work when the input ends gets TERM, and KILL a moment later, with its whole process group.
# Processes that have left the group are found by their environment. So are those of a command that was started so
# shortly before the worker's end that its group was not told any more.
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

# The process groups of all processes that have one of the names in their environment, one group a line.
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
# What is started while this looks around is found by the next look.
looks=20
found=$(strays)
while [ -n "$found" ] && [ "$looks" -gt 0 ]; do
    signal KILL "$found"
    sleep 0.05 || sleep 1
    looks=$((looks - 1))
    found=$(strays)
done
